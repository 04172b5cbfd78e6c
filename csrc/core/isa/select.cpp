#include "core/isa/select.h"

#include "core/isa/isa.h"
#include "core/isa/lanes.h"
#include "core/isa/rows.h"
#include "core/order_key.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

using std::size_t;
using std::uint32_t;
using std::uint8_t;

constexpr size_t kBlock = 64;

// Ready keys.
struct KeyReader {
  const uint32_t* keys;

  bool takes_part(size_t i) const { return keys[i] != kNotEligibleKey; }
  uint32_t key(size_t i) const { return keys[i]; }
};

template <class Body>
auto with_key_reader(const Rows& rows, const Body& body) {
  return rows.keys ? body(KeyReader{rows.keys}) : with_reader(rows, body);
}

size_t count(const Rows& rows, size_t begin, size_t end) {
  return with_key_reader(rows, [=](auto reader) {
    size_t total = 0;
    for (size_t i = begin; i < end; ++i) total += reader.takes_part(i);
    return total;
  });
}

// Which of 64 rows are below a range, and which inside.
struct Sides {
  uint64_t below, inside;
};

// Rows as numbers that compare like their keys and cost less. `first` is that of the lowest row
// with a key of at least `low`, `last` that of the highest with a key of at most `high`.
template <class Reader>
struct Numbers;

// Float32 bits, negative ones flipped and all moved down, so that unsigned they run from -inf (0)
// over -0, +0 and +inf to the NaNs of both signs. Only the zeros, which share a key, are apart.
template <bool where, bool finite_only>
struct Numbers<RowReader<where, finite_only>> {
  static constexpr uint32_t kLowest = ~kInfinityBits, kZeroKey = 0x80000000u;
  static constexpr uint32_t kNan = kInfinityBits + 1 - kLowest;
  const RowReader<where, finite_only>& reader;

  const void* raw(size_t i) const { return reader.values + i; }
  static uint32_t key(uint32_t raw) { return order_key(raw); }
  static uint32_t first(uint32_t low) {
    if (low >= kNanKey) return kNan;
    if (low < kZeroKey - kInfinityBits) return 0;
    return low - kZeroKey - (low <= kZeroKey) - kLowest;
  }
  static uint32_t last(uint32_t high) {
    return high >= kNanKey ? ~0u : high - kZeroKey - (high < kZeroKey) - kLowest;
  }
  Lanes load_from(size_t i) const {
    return subtract(flip_negative(load(raw(i))), broadcast(kLowest));
  }
  uint32_t takes_part(Lanes numbers) const {  // neither 0 nor beyond the last finite number
    if (!finite_only) return kAllLanes;
    return less(subtract(numbers, broadcast(1)), broadcast(kNan - 2));
  }
  uint64_t takes_part(size_t i) const { return where ? nonzero_bytes(reader.where + i) : ~0ull; }
};

template <>
struct Numbers<KeyReader> {
  const KeyReader& reader;

  const void* raw(size_t i) const { return reader.keys + i; }
  static uint32_t key(uint32_t raw) { return raw; }
  static uint32_t first(uint32_t low) { return low; }
  static uint32_t last(uint32_t high) { return high - (high == kNotEligibleKey); }
  Lanes load_from(size_t i) const { return load(raw(i)); }
  uint32_t takes_part(Lanes) const { return kAllLanes; }
  uint64_t takes_part(size_t) const { return ~0ull; }
};

template <class Reader>
Sides compare(const Numbers<Reader>& rows, size_t i, uint32_t first, uint32_t last) {
  const Lanes start = broadcast(first), span = broadcast(last - first), wrapped = broadcast(~first);
  Sides sides = {0, 0};
  for (size_t j = 0; j < kBlock; j += kLanes) {
    const Lanes numbers = rows.load_from(i + j), from_start = subtract(numbers, start);
    const uint32_t there = rows.takes_part(numbers);
    sides.below |= uint64_t{less(wrapped, from_start) & there} << j;
    sides.inside |= uint64_t{~less(span, from_start) & there} << j;
  }
  const uint64_t there = rows.takes_part(i);
  return {sides.below & there, sides.inside & there};
}

// Appends the words that are set in `inside`, and their row numbers from i on.
size_t append(const void* from, size_t i, uint64_t inside, uint32_t* words, uint32_t* ids) {
  const auto* values = static_cast<const uint32_t*>(from);
  constexpr size_t kFew = 4;  // in most blocks: stored without a branch for each
  const auto count = static_cast<size_t>(__builtin_popcountll(inside));
  if (count <= kFew) {
    for (size_t j = 0; j < kFew; ++j, inside &= inside - 1) {
      const auto place = static_cast<size_t>(__builtin_ctzll(inside | uint64_t{1} << 63));
      __builtin_memcpy(words + j, values + place, sizeof *words);
      ids[j] = static_cast<uint32_t>(i + place);
    }
    return count;
  }
  size_t filled = 0;
  for (size_t j = 0; j < kBlock; j += kLanes) {
    const auto some = static_cast<uint32_t>(inside >> j & kAllLanes);
    compress(words + filled, load(values + j), some);
    compress(ids + filled, iota(static_cast<uint32_t>(i + j)), some);
    filled += static_cast<size_t>(__builtin_popcount(some));
  }
  return filled;
}

template <class Reader>
Split split_rows(const Reader& reader, size_t begin, size_t end, uint32_t low, uint32_t high,
                 uint64_t* below, uint32_t* keys, uint32_t* ids, size_t capacity) {
  const Numbers<Reader> rows{reader};
  const uint32_t first = rows.first(low), last = rows.last(high);
  Split total = {0, 0};
  size_t i = begin;
  for (; i + kBlock <= end && total.inside <= capacity; i += kBlock) {
    const Sides sides = compare(rows, i, first, last);
    *below++ = sides.below;
    total.below += static_cast<size_t>(__builtin_popcountll(sides.below));
    total.inside += append(rows.raw(i), i, sides.inside, keys + total.inside, ids + total.inside);
  }
  for (size_t j = 0; j < total.inside; ++j) keys[j] = rows.key(keys[j]);
  if (i < end && total.inside <= capacity) *below = 0;
  for (size_t j = 0; i < end && total.inside <= capacity; ++i, ++j) {
    const uint32_t key = reader.key(i);
    *below |= uint64_t{key < low} << j;
    keys[total.inside] = key;
    ids[total.inside] = static_cast<uint32_t>(i);
    total.below += key < low;
    total.inside += low <= key && key <= high && key != kNotEligibleKey;
  }
  return total;
}

Split split(const Rows& rows, size_t begin, size_t end, uint32_t low, uint32_t high,
            uint64_t* below, uint32_t* keys, uint32_t* ids, size_t capacity) {
  return with_key_reader(rows, [=](auto reader) {
    return split_rows(reader, begin, end, low, high, below, keys, ids, capacity);
  });
}

void expand(const uint64_t* words, size_t n, uint8_t* flags) {
  size_t i = 0;
  for (; i + kBlock <= n; i += kBlock) store_flags(flags + i, *words++);
  for (size_t j = 0; i < n; ++i, ++j) flags[i] = *words >> j & 1;
}

Split tally(const Rows& rows, size_t begin, size_t end, uint32_t key) {
  return with_key_reader(rows, [=](auto reader) {
    Split total = {0, 0};
    uint32_t block[kBlock];
    for (size_t start = begin; start < end; start += kBlock) {
      const size_t n = end - start < kBlock ? end - start : kBlock;
      uint32_t below = 0, equal = 0;
      for (size_t j = 0; j < n; ++j) block[j] = reader.key(start + j);
      for (size_t j = 0; j < n; ++j) below += block[j] < key;
      for (size_t j = 0; j < n; ++j) equal += block[j] == key;
      total.below += below;
      total.inside += equal;
    }
    return total;
  });
}

void mark(const Rows& rows, size_t begin, size_t end, uint32_t key, size_t ties, uint8_t* hidden) {
  with_key_reader(rows, [=](auto reader) {
    size_t left = ties;
    uint32_t block[kBlock];
    for (size_t start = begin; start < end; start += kBlock) {
      const size_t n = end - start < kBlock ? end - start : kBlock;
      uint8_t* flags = hidden + start;
      uint32_t equal = 0;
      for (size_t j = 0; j < n; ++j) block[j] = reader.key(start + j);
      for (size_t j = 0; j < n; ++j) equal += block[j] == key;
      if (left == 0 || equal <= left) {  // none of the block's ties, or all of them
        const uint32_t limit = key + (left != 0);
        for (size_t j = 0; j < n; ++j) flags[j] = block[j] < limit;
        left -= left ? equal : 0;
        continue;
      }
      for (size_t j = 0; j < n; ++j) {
        const bool tie = left && block[j] == key;
        flags[j] = tie || block[j] < key;
        left -= tie;
      }
    }
  });
}

void upper_histogram(const Rows& rows, size_t begin, size_t end, uint32_t* counts) {
  with_key_reader(rows, [=](auto reader) {
    for (size_t i = begin; i < end; ++i) ++counts[reader.key(i) >> 16];
  });
}

void lower_histogram(const Rows& rows, size_t begin, size_t end, uint32_t prefix,
                     uint32_t* counts) {
  with_key_reader(rows, [=](auto reader) {
    for (size_t i = begin; i < end; ++i) {
      const uint32_t key = reader.key(i);
      if (key >> 16 == prefix) ++counts[key & 0xFFFFu];
    }
  });
}

Split narrow(const uint32_t* keys, size_t n, uint32_t low, uint32_t high, uint32_t* out) {
  const Lanes lows = broadcast(low), spans = broadcast(high - low);
  Split total = {0, 0};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Lanes lanes = load(keys + i);
    const uint32_t inside = ~less(spans, subtract(lanes, lows)) & kAllLanes;
    compress(out + total.inside, lanes, inside);
    total.below += static_cast<size_t>(__builtin_popcount(less(lanes, lows)));
    total.inside += static_cast<size_t>(__builtin_popcount(inside));
  }
  for (; i < n; ++i) {
    out[total.inside] = keys[i];
    total.below += keys[i] < low;
    total.inside += keys[i] - low <= high - low;
  }
  return total;
}

}  // namespace

extern const SelectKernels select_kernels;
const SelectKernels select_kernels = {
    count, split, expand, tally, mark, upper_histogram, lower_histogram, narrow,
};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
