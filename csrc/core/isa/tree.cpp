#include "core/isa/tree.h"

#include "core/isa/isa.h"
#include "core/isa/lanes.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

constexpr std::size_t kFan = TreeNode::kFan, kLine = TreeLine::kSize;
constexpr std::size_t kBlock = 64;  // walks in flight

void update_block(const TreeArrays& tree, const std::uint32_t* index, const std::int64_t* units,
                  std::size_t count) {
  for (std::size_t j = 0; j < count; ++j) {
    const std::size_t line = index[j] / kLine;
    const TreeNode& node = tree.nodes[0][line / kFan];
    __builtin_prefetch(tree.leaves + line, 1);
    __builtin_prefetch(&node.lines, 1);
    __builtin_prefetch(&node.children[line % kFan / kLine], 1);
  }
  for (std::size_t j = 0; j < count; ++j) {
    std::int64_t& leaf = tree.leaves[index[j] / kLine].value[index[j] % kLine];
    const std::int64_t change = units[j] - leaf;
    leaf = units[j];
    std::size_t child = index[j] / kLine;
    for (int level = 0; level < tree.levels; ++level, child /= kFan) {
      TreeNode& node = tree.nodes[level][child / kFan];
      const std::size_t line = child % kFan / kLine;
      add_from(node.lines.value, line, change);
      add_from(node.children[line].value, child % kLine, change);
    }
  }
}

void update(const TreeArrays& tree, const std::uint32_t* index, const std::int64_t* units,
            std::size_t count) {
  for (std::size_t j = 0; j < count; j += kBlock) {
    update_block(tree, index + j, units + j, count - j < kBlock ? count - j : kBlock);
  }
}

// The place whose range holds the target, which becomes the distance from the start of that range.
// Without a branch: which place it is cannot be foretold.
inline std::size_t step(const TreeLine& sums, std::int64_t& target) {
  const std::size_t place = count_at_most(sums.value, target);
  target -= sums.value[(place + kLine - 1) % kLine] & -std::int64_t{place > 0};
  return place;
}

// All walks of a block go down one line together, so that their cache misses overlap.
void find_block(const TreeArrays& tree, std::int64_t* targets, std::size_t count,
                std::int64_t* index) {
  std::size_t place[kBlock] = {}, lines[kBlock];
  for (int level = tree.levels - 1; level >= 0; --level) {
    for (std::size_t j = 0; j < count; ++j) {
      const TreeNode& node = tree.nodes[level][place[j]];
      lines[j] = step(node.lines, targets[j]);
      __builtin_prefetch(&node.children[lines[j]]);
    }
    for (std::size_t j = 0; j < count; ++j) {
      const TreeLine& children = tree.nodes[level][place[j]].children[lines[j]];
      place[j] = place[j] * kFan + lines[j] * kLine + step(children, targets[j]);
      if (level) {
        __builtin_prefetch(&tree.nodes[level - 1][place[j]].lines);
      } else {
        __builtin_prefetch(tree.leaves + place[j]);
      }
    }
  }
  for (std::size_t j = 0; j < count; ++j) {
    const std::size_t leaf = count_sums_at_most(tree.leaves[place[j]].value, targets[j]);
    index[j] = static_cast<std::int64_t>(place[j] * kLine + leaf);
  }
}

void find(const TreeArrays& tree, std::int64_t* targets, std::size_t count, std::int64_t* index) {
  for (std::size_t j = 0; j < count; j += kBlock) {
    find_block(tree, targets + j, count - j < kBlock ? count - j : kBlock, index + j);
  }
}

}  // namespace

extern const TreeKernels tree_kernels;
const TreeKernels tree_kernels = {update, find};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
