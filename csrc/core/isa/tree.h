// The walks of the prefix tree; see core/prefix_tree.h for what it is.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dynsample {

// Borrowed arrays. nodes[0] is above the leaves, nodes[levels - 1] is the root.
struct TreeArrays {
  static constexpr int kMaxLevels = 6;
  std::int64_t* leaves;
  std::int64_t* nodes[kMaxLevels];
  int levels;
};

struct TreeKernels {
  // Sets leaves[index[j]] = units[j] one after another and adds the differences to the prefix sums.
  void (*update)(const TreeArrays& tree, const std::uint32_t* index, const std::int64_t* units,
                 std::size_t count);
  // index[j] = the leaf in whose range targets[j] lies; the targets are used up.
  void (*find)(const TreeArrays& tree, std::int64_t* targets, std::size_t count,
               std::int64_t* index);
};

}  // namespace dynsample
