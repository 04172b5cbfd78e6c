// The walks of the prefix tree; see core/prefix_tree.h for what it is.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dynsample {

// A cache line.
struct alignas(64) TreeLine {
  static constexpr std::size_t kSize = 8;
  std::int64_t value[kSize];
};

// 64 children: prefix sums of the sums of 8 lines, and of 8 children in each of these lines. Both
// kinds include the place itself.
struct TreeNode {
  static constexpr std::size_t kFan = 64;
  TreeLine lines;
  TreeLine children[kFan / TreeLine::kSize];

  std::int64_t total() const { return lines.value[TreeLine::kSize - 1]; }
};

// Borrowed arrays. nodes[0] is above the leaves, nodes[levels - 1] is the root.
struct TreeArrays {
  static constexpr int kMaxLevels = 6;
  TreeLine* leaves;
  TreeNode* nodes[kMaxLevels];
  int levels;
};

struct TreeKernels {
  // Sets leaf index[j] to units[j] one after another and adds the differences to the prefix sums.
  void (*update)(const TreeArrays& tree, const std::uint32_t* index, const std::int64_t* units,
                 std::size_t count);
  // index[j] = the leaf in whose range targets[j] lies; the targets are used up.
  void (*find)(const TreeArrays& tree, std::int64_t* targets, std::size_t count,
               std::int64_t* index);
};

}  // namespace dynsample
