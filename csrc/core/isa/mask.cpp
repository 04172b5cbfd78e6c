#include "core/isa/mask.h"

#include "core/isa/isa.h"
#include "core/isa/lanes.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

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

}  // namespace

extern const MaskKernels mask_kernels;
const MaskKernels mask_kernels = {count, ids};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
