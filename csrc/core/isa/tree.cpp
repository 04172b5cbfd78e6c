#include "core/isa/tree.h"

#include "core/isa/isa.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

constexpr std::size_t kFan = 64;       // children of a node
constexpr std::size_t kLine = 8;       // leaves of a lowest child: one cache line
constexpr std::size_t kBlock = 64;     // walks in flight
constexpr std::size_t kNodeLines = 8;  // cache lines of a node

inline void prefetch_node(const std::int64_t* node) {
  for (std::size_t line = 0; line < kNodeLines; ++line) __builtin_prefetch(node + kLine * line);
}

void update_block(const TreeArrays& tree, const std::uint32_t* index, const std::int64_t* units,
                  std::size_t count) {
  for (std::size_t j = 0; j < count; ++j) {
    __builtin_prefetch(tree.leaves + index[j], 1);
    prefetch_node(tree.nodes[0] + index[j] / (kLine * kFan) * kFan);
  }
  for (std::size_t j = 0; j < count; ++j) {
    const std::int64_t change = units[j] - tree.leaves[index[j]];
    tree.leaves[index[j]] = units[j];
    std::size_t child = index[j] / kLine;
    for (int level = 0; level < tree.levels; ++level, child /= kFan) {
      std::int64_t* node = tree.nodes[level] + child / kFan * kFan;
      const std::int64_t first = static_cast<std::int64_t>(child % kFan);
      for (std::int64_t c = 0; c < static_cast<std::int64_t>(kFan); ++c) {
        node[c] += c >= first ? change : 0;
      }
    }
  }
}

void update(const TreeArrays& tree, const std::uint32_t* index, const std::int64_t* units,
            std::size_t count) {
  for (std::size_t j = 0; j < count; j += kBlock) {
    update_block(tree, index + j, units + j, count - j < kBlock ? count - j : kBlock);
  }
}

// All walks of a block go down one level together, so that their cache misses overlap.
void find_block(const TreeArrays& tree, std::int64_t* targets, std::size_t count,
                std::int64_t* index) {
  std::uint64_t place[kBlock] = {};
  for (int level = tree.levels - 1; level >= 0; --level) {
    for (std::size_t j = 0; j < count; ++j) {
      const std::int64_t* node = tree.nodes[level] + place[j] * kFan;
      const std::int64_t target = targets[j];
      std::int64_t child = 0;  // how many prefix sums are at or below the target
      for (std::size_t c = 0; c < kFan; ++c) child += node[c] <= target;
      targets[j] -= child ? node[child - 1] : 0;
      place[j] = place[j] * kFan + static_cast<std::uint64_t>(child);
      if (level) {
        prefetch_node(tree.nodes[level - 1] + place[j] * kFan);
      } else {
        __builtin_prefetch(tree.leaves + place[j] * kLine);
      }
    }
  }
  for (std::size_t j = 0; j < count; ++j) {
    const std::int64_t* line = tree.leaves + place[j] * kLine;
    std::int64_t sum = 0, leaf = 0;
    for (std::size_t c = 0; c < kLine; ++c) {
      sum += line[c];
      leaf += sum <= targets[j];
    }
    index[j] = static_cast<std::int64_t>(place[j] * kLine) + leaf;
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
