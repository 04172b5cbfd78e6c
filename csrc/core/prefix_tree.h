// Proportional draws from priorities that change all the time.
//
// Priorities are int64 fixed-point numbers of 2^-bits. 8 leaves are a cache line, 64 lines the
// children of a node of prefix sums, 64 nodes those of a node above it; a walk reads two lines of a
// node. Everything is an integer: sums cannot drift and do not depend on the order of the updates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/buffer.h"
#include "core/isa/tree.h"

namespace dynsample {

class PrefixTree {
 public:
  // `size` leaves of priority 0. Throws std::invalid_argument unless size is in [1, 2^32).
  explicit PrefixTree(std::size_t size);

  // Sets priorities; of a repeated id the last counts. All or nothing: throws std::out_of_range for
  // an id beyond the leaves, std::invalid_argument for a priority that is NaN, negative, or above
  // max_priority(). A positive one is at least one unit.
  template <class Id>
  void update(std::span<const Id> index, std::span<const float> priorities);

  // Stratified and proportional, with replacement: draw j takes target
  // floor((j + u_j) * total / k), u_j = 64 bits of Philox (block j / 2, epoch `step`, stream
  // kTree). `probabilities` are units / total. Throws std::invalid_argument when the total is 0.
  void draw(std::uint64_t seed, std::uint32_t step, std::span<std::int64_t> index,
            std::span<float> probabilities) const;

  // The leaves in units; load throws std::invalid_argument for a wrong size or value.
  std::span<const std::int64_t> units() const { return {leaves_.data()->value, size_}; }
  void load(std::span<const std::int64_t> units, double largest);

  // The sum of the first `count` <= size() leaves, in units; reads one line of each level.
  std::int64_t sum_before(std::size_t count) const;

  std::size_t size() const { return size_; }
  int bits() const { return bits_; }
  double max_priority() const;
  double largest() const { return largest_; }  // ever given to update, not rounded
  std::int64_t total() const { return nodes_.back().back().total(); }

 private:
  TreeArrays arrays() const;

  std::size_t size_;
  int bits_;
  std::int64_t max_units_;  // size * max_units < 2^63
  double largest_ = 0;
  Buffer<TreeLine> leaves_;
  std::vector<Buffer<TreeNode>> nodes_;
};

}  // namespace dynsample
