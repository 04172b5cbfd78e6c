#include "core/isa/select.h"

#include "core/isa/isa.h"
#include "core/isa/lanes.h"
#include "core/isa/rows.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

using std::size_t;
using std::uint32_t;
using std::uint8_t;

constexpr size_t kBlock = 64;
constexpr uint32_t kAllLanes = (1u << kLanes) - 1;

size_t count(const Rows& rows, size_t begin, size_t end) {
  return with_reader(rows, [=](auto reader) {
    size_t total = 0;
    for (size_t i = begin; i < end; ++i) total += reader.takes_part(i);
    return total;
  });
}

// Appends the keys in [low, low + span] among the lanes to `keys`, and what belongs to them to
// `ids`.
size_t append(Lanes lanes, Lanes low, Lanes span, Lanes numbers, uint32_t* keys, uint32_t* ids) {
  const uint32_t inside = ~less(span, subtract(lanes, low)) & kAllLanes;
  compress(keys, lanes, inside);
  compress(ids, numbers, inside);
  return static_cast<size_t>(__builtin_popcount(inside));
}

template <class Reader>
Split split_rows(const Reader& reader, size_t begin, size_t end, uint32_t low, uint32_t high,
                 uint8_t* hidden, uint32_t* keys, uint32_t* ids, size_t capacity) {
  const Lanes lows = broadcast(low), spans = broadcast(high - low);
  Split total = {0, 0};
  size_t i = begin;
  for (; i + kBlock <= end && total.inside <= capacity; i += kBlock) {
    uint32_t block[kBlock];
    for (size_t j = 0; j < kBlock; ++j) block[j] = reader.key(i + j);
    uint32_t below = 0;
    for (size_t j = 0; j < kBlock; ++j) {
      hidden[i + j] = block[j] < low;
      below += block[j] < low;
    }
    total.below += below;
    for (size_t j = 0; j < kBlock; j += kLanes) {
      total.inside += append(load(block + j), lows, spans, iota(static_cast<uint32_t>(i + j)),
                             keys + total.inside, ids + total.inside);
    }
  }
  for (; i < end && total.inside <= capacity; ++i) {
    const uint32_t key = reader.key(i);
    hidden[i] = key < low;
    keys[total.inside] = key;
    ids[total.inside] = static_cast<uint32_t>(i);
    total.below += key < low;
    total.inside += key - low <= high - low;
  }
  return total;
}

Split split(const Rows& rows, size_t begin, size_t end, uint32_t low, uint32_t high,
            uint8_t* hidden, uint32_t* keys, uint32_t* ids, size_t capacity) {
  return with_reader(rows, [=](auto reader) {
    return split_rows(reader, begin, end, low, high, hidden, keys, ids, capacity);
  });
}

Split tally(const Rows& rows, size_t begin, size_t end, uint32_t key) {
  return with_reader(rows, [=](auto reader) {
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
  with_reader(rows, [=](auto reader) {
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
  with_reader(rows, [=](auto reader) {
    for (size_t i = begin; i < end; ++i) ++counts[reader.key(i) >> 16];
  });
}

void lower_histogram(const Rows& rows, size_t begin, size_t end, uint32_t prefix,
                     uint32_t* counts) {
  with_reader(rows, [=](auto reader) {
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
const SelectKernels select_kernels = {count,           split,           tally, mark,
                                      upper_histogram, lower_histogram, narrow};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
