#include "core/isa/bitmap.h"

#include "core/isa/isa.h"
#include "core/isa/lanes.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

using std::int64_t;
using std::size_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

size_t count(const uint8_t* mask, size_t n) {
  size_t total = 0;
  for (size_t i = 0; i < n;) {
    const size_t stop = n - i < 4096 ? n : i + 4096;
    uint32_t block = 0;
    for (; i < stop; ++i) block += mask[i] != 0;
    total += block;
  }
  return total;
}

// One read, of what another thread may be writing.
uint64_t read_once(const int64_t& place) {
  return static_cast<uint64_t>(*static_cast<const volatile int64_t*>(&place));
}

// Bits of up to 64 bytes: bit j = mask[j] is not zero.
uint64_t bits_of(const uint8_t* mask, size_t n) {
  if (n >= 64) return nonzero_bytes(mask);
  uint64_t word = 0;
  for (size_t j = 0; j < n; ++j) word |= uint64_t{mask[j] != 0} << j;
  return word;
}

size_t ids(const uint8_t* mask, size_t begin, size_t end, bool invert, uint32_t* ids,
           size_t capacity) {
  size_t filled = 0;
  for (size_t i = begin; i < end; i += 64) {
    uint64_t word = bits_of(mask + i, end - i);
    if (invert) word = ~word & (end - i < 64 ? (uint64_t{1} << (end - i)) - 1 : ~uint64_t{0});
    if (filled + 64 <= capacity) {  // room for whole vectors
      filled += store_ids(word, static_cast<uint32_t>(i), ids + filled);
      continue;
    }
    for (; word; word &= word - 1) {
      if (filled == capacity) return capacity + 1;
      ids[filled++] = static_cast<uint32_t>(i) + static_cast<uint32_t>(__builtin_ctzll(word));
    }
  }
  return filled;
}

void pack(const uint8_t* mask, size_t n, uint64_t* words) {
  for (size_t i = 0; i < n; i += 64) words[i / 64] = bits_of(mask + i, n - i);
}

void cumulate(const uint64_t* words, size_t num_words, uint32_t* before) {
  uint32_t total = 0;
  for (size_t w = 0; w < num_words; ++w) {
    before[w] = total;
    total += static_cast<uint32_t>(__builtin_popcountll(words[w]));
  }
  before[num_words] = total;
}

size_t rank(const BitmapView& bits, const int64_t* ids, size_t n, int64_t* ranks) {
  for (size_t j = 0; j < n; ++j) {
    const uint64_t id = read_once(ids[j]);
    if (id >= bits.size) return j;
    const uint64_t lower = (uint64_t{1} << (id % 64)) - 1;
    ranks[j] = bits.before[id / 64] + __builtin_popcountll(bits.words[id / 64] & lower);
  }
  return n;
}

// Position of the set bit of `word` that has `rank` set bits below it: by halves.
uint64_t select_in_word(uint64_t word, uint32_t rank) {
#ifdef __BMI2__
  return static_cast<uint64_t>(__builtin_ctzll(_pdep_u64(uint64_t{1} << rank, word)));
#else
  uint64_t position = 0;
  for (int half = 32; half; half /= 2) {
    const uint64_t low = word & ((uint64_t{1} << half) - 1);
    const auto below = static_cast<uint32_t>(__builtin_popcountll(low));
    const bool above = rank >= below;
    rank -= above ? below : 0;
    word = above ? word >> half : low;
    position += above ? half : 0;
  }
  return position;
#endif
}

size_t select(const BitmapView& bits, const int64_t* ranks, size_t n, int64_t* ids) {
  const uint64_t set = bits.before[bits.num_words];
  for (size_t j = 0; j < n; ++j) {
    const uint64_t wanted = read_once(ranks[j]);
    if (wanted >= set) return j;
    size_t low = bits.hints[wanted >> kHintShift];
    size_t high = bits.hints[(wanted >> kHintShift) + 1] + 1;
    while (high - low > 1) {  // before[low] <= wanted < before[high]
      const size_t middle = low + (high - low) / 2;
      const bool right = bits.before[middle] <= wanted;
      low = right ? middle : low;
      high = right ? high : middle;
    }
    const auto inner = static_cast<uint32_t>(wanted - bits.before[low]);
    ids[j] = static_cast<int64_t>(64 * low + select_in_word(bits.words[low], inner));
  }
  return n;
}

}  // namespace

extern const BitmapKernels bitmap_kernels;
const BitmapKernels bitmap_kernels = {count, ids, pack, cumulate, rank, select};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
