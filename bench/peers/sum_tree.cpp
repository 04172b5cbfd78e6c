// A binary sum tree in float, as prioritised replay usually has it: the peer of bench_replay.py.
//
// Leaves hold priorities, every node the sum of its two children; an update walks to the root, a
// draw walks down. Compiled by the bench; no part of the package.
#include <cstdint>
#include <vector>

namespace {

struct SumTree {
  std::int64_t leaves = 1;
  std::vector<float> sums;
};

}  // namespace

extern "C" {

void* sum_tree_new(std::int64_t n) {
  auto* tree = new SumTree;
  while (tree->leaves < n) tree->leaves *= 2;
  tree->sums.assign(2 * tree->leaves, 0.0f);
  return tree;
}

void sum_tree_delete(void* handle) { delete static_cast<SumTree*>(handle); }

void sum_tree_update(void* handle, const std::int64_t* index, const float* priorities,
                     std::int64_t count) {
  auto& tree = *static_cast<SumTree*>(handle);
  for (std::int64_t j = 0; j < count; ++j) {
    std::int64_t node = tree.leaves + index[j];
    tree.sums[node] = priorities[j];
    for (node /= 2; node >= 1; node /= 2) {
      tree.sums[node] = tree.sums[2 * node] + tree.sums[2 * node + 1];
    }
  }
}

void sum_tree_draw(void* handle, const float* uniform, std::int64_t* index, float* priorities,
                   std::int64_t count) {
  const auto& tree = *static_cast<SumTree*>(handle);
  for (std::int64_t j = 0; j < count; ++j) {
    float mass = uniform[j] * tree.sums[1];
    std::int64_t node = 1;
    while (node < tree.leaves) {
      node *= 2;
      if (mass >= tree.sums[node]) mass -= tree.sums[node++];
    }
    index[j] = node - tree.leaves;
    priorities[j] = tree.sums[node];
  }
}
}
