// One-read passes over scores, on which core/select.cpp builds the exact selection.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/rows.h"

namespace dynsample {

// How many keys lie below a range, and how many inside.
struct Split {
  std::size_t below;
  std::size_t inside;
};

// Room that a buffer of compacted keys or ids needs after its capacity, for stores of whole
// vectors.
constexpr std::size_t kStoreSlack = 128;

struct SelectKernels {
  // Rows of [begin, end) that take part.
  std::size_t (*count)(const Rows& rows, std::size_t begin, std::size_t end);
  // Bit i - begin of `below` = key of row i < low, for i in [begin, end); keys in [low, high] of
  // rows that take part, and their row numbers, are appended to `keys` and `ids` in ascending order
  // of rows, until there are more than `capacity`.
  Split (*split)(const Rows& rows, std::size_t begin, std::size_t end, std::uint32_t low,
                 std::uint32_t high, std::uint64_t* below, std::uint32_t* keys, std::uint32_t* ids,
                 std::size_t capacity);
  // flags[i] = bit i of `words`, for i < n.
  void (*expand)(const std::uint64_t* words, std::size_t n, std::uint8_t* flags);
  // Keys of rows in [begin, end) below `key`, and equal to it.
  Split (*tally)(const Rows& rows, std::size_t begin, std::size_t end, std::uint32_t key);
  // hidden[i] = key of row i < key, or equal to it and among the first `ties` such rows from begin.
  void (*mark)(const Rows& rows, std::size_t begin, std::size_t end, std::uint32_t key,
               std::size_t ties, std::uint8_t* hidden);
  // counts[key >> 16] += 1 over all rows, and counts[key & 65535] += 1 over those whose key has the
  // upper half `prefix`.
  void (*upper_histogram)(const Rows& rows, std::size_t begin, std::size_t end,
                          std::uint32_t* counts);
  void (*lower_histogram)(const Rows& rows, std::size_t begin, std::size_t end,
                          std::uint32_t prefix, std::uint32_t* counts);
  // The keys in [low, high], in order, to `out`, which has kStoreSlack more than n.
  Split (*narrow)(const std::uint32_t* keys, std::size_t n, std::uint32_t low, std::uint32_t high,
                  std::uint32_t* out);
};

}  // namespace dynsample
