// Which samples are set, in one bit each, and the way between ids and ranks among the set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/isa/bitmap.h"

namespace dynsample {

// Number of bytes of `mask` that are not zero.
std::size_t count_set(std::span<const std::uint8_t> mask);

// Ascending row numbers of the set (or, if `invert`, of the unset) bytes of `mask`. `ids` must have
// exactly as many places. Throws std::invalid_argument for other sizes, or over 2^32 - 1 rows.
void mask_ids(std::span<const std::uint8_t> mask, bool invert, std::span<std::uint32_t> ids);

// out[i] = inside where mask[i] is not zero, else outside. Sizes are the same.
void choose(std::span<const std::uint8_t> mask, float inside, float outside, std::span<float> out);

// A bit and a half for each row: 64-bit words, and for each word the count of the set bits before.
// rank and select take constant time (select: a search among the few words of 512 set bits, where
// the set rows are sparse a logarithmic one).
class Bitmap {
 public:
  // Throws std::invalid_argument when the mask has more than 2^32 - 1 rows.
  explicit Bitmap(std::span<const std::uint8_t> mask);

  std::size_t size() const { return size_; }
  std::size_t count() const { return before_.back(); }

  // ranks[j] = set rows before ids[j]. Throws std::out_of_range for an id outside [0, size()).
  void rank(std::span<const std::int64_t> ids, std::span<std::int64_t> ranks) const;

  // ids[j] = the set row with ranks[j] set rows before it. Throws std::out_of_range for a rank
  // outside [0, count()).
  void select(std::span<const std::int64_t> ranks, std::span<std::int64_t> ids) const;

 private:
  BitmapView view() const;

  std::size_t size_;
  std::vector<std::uint64_t> words_;
  std::vector<std::uint32_t> before_, hints_;
};

}  // namespace dynsample
