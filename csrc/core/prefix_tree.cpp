#include "core/prefix_tree.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>

#include "core/dispatch.h"
#include "core/random.h"
#include "core/snapshot.h"

namespace dynsample {
namespace {

constexpr std::size_t kFan = TreeNode::kFan, kLine = TreeLine::kSize;
constexpr int kPriorityBits = 16;  // priorities up to 2^16 at least

std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

}  // namespace

PrefixTree::PrefixTree(std::size_t size) : size_(size) {
  if (size < 1 || size > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument("num_samples must be in [1, 2**32), got " + std::to_string(size));
  }
  const int leaf_bits = 63 - std::bit_width(size);
  bits_ = std::min(32, leaf_bits - kPriorityBits);
  max_units_ = std::int64_t{1} << std::min(leaf_bits, 62);
  leaves_.assign(divide_up(size, kLine), TreeLine{});
  std::size_t children = leaves_.size();
  do {
    children = divide_up(children, kFan);
    nodes_.emplace_back(children, TreeNode{});
  } while (children > 1);
}

double PrefixTree::max_priority() const { return std::ldexp(double(max_units_), -bits_); }

TreeArrays PrefixTree::arrays() const {
  TreeArrays tree{};
  tree.leaves = const_cast<TreeLine*>(leaves_.data());
  tree.levels = static_cast<int>(nodes_.size());
  for (int level = 0; level < tree.levels; ++level) {
    tree.nodes[level] = const_cast<TreeNode*>(nodes_[level].data());
  }
  return tree;
}

template <class Id>
void PrefixTree::update(std::span<const Id> index, std::span<const float> priorities) {
  if (index.size() != priorities.size()) {
    throw std::invalid_argument("priorities must have one value per id: it has " +
                                std::to_string(priorities.size()) + ", index " +
                                std::to_string(index.size()));
  }
  const double scale = std::ldexp(1.0, bits_), highest = max_priority();
  double largest = largest_;
  std::vector<std::uint32_t> rows(index.size());
  std::vector<std::int64_t> units(index.size());
  for (std::size_t j = 0; j < index.size(); ++j) {
    const std::int64_t id = read_once(index[j]);
    const double priority = read_once(priorities[j]);
    if (static_cast<std::uint64_t>(id) >= size_) {
      throw std::out_of_range("index must be in [0, " + std::to_string(size_) + "), got id " +
                              std::to_string(id) + " (row " + std::to_string(j) + " of the batch)");
    }
    if (!(priority >= 0 && priority <= highest)) {
      throw std::invalid_argument("priorities must be in [0, " + std::to_string(highest) +
                                  "], got " + std::to_string(priority) + " for id " +
                                  std::to_string(id) + " (row " + std::to_string(j) +
                                  " of the batch)");
    }
    rows[j] = static_cast<std::uint32_t>(id);
    const auto rounded = static_cast<std::int64_t>(priority * scale + 0.5);
    units[j] = priority > 0 && rounded == 0 ? 1 : rounded;
    largest = std::max(largest, priority);
  }
  kernels().tree.update(arrays(), rows.data(), units.data(), rows.size());
  largest_ = largest;
}

template void PrefixTree::update(std::span<const std::int32_t>, std::span<const float>);
template void PrefixTree::update(std::span<const std::int64_t>, std::span<const float>);

void PrefixTree::draw(std::uint64_t seed, std::uint32_t step, std::span<std::int64_t> index,
                      std::span<float> probabilities) const {
  const std::size_t k = index.size();
  const auto all = static_cast<std::uint64_t>(total());
  if (k == 0) return;
  if (all == 0) throw std::invalid_argument("priorities must have a positive one before a draw");
  std::vector<std::uint32_t> words(4 * divide_up(k, 2));
  kernels().random.fill(seed, 0, step, kTree, words.size() / 4, words.data());
  std::vector<std::int64_t> targets(k);
  const int shift = std::has_single_bit(k) ? std::countr_zero(k) : -1;  // spares most a division
  // j * total = quotient * k + rest, kept up by additions
  std::uint64_t quotient = 0, rest = 0;
  for (std::size_t j = 0; j < k; ++j) {
    const std::uint64_t bits = words[2 * j] | std::uint64_t{words[2 * j + 1]} << 32;
    const auto within =
        static_cast<std::uint64_t>(static_cast<unsigned __int128>(bits) * all >> 64);
    const std::uint64_t whole = shift >= 0 ? (rest + within) >> shift : (rest + within) / k;
    targets[j] = static_cast<std::int64_t>(quotient + whole);
    quotient += all / k;
    rest += all % k;
    if (rest >= k) {
      rest -= k;
      ++quotient;
    }
  }
  kernels().tree.find(arrays(), targets.data(), k, index.data());
  for (std::size_t j = 0; j < k; ++j) {
    const std::int64_t drawn = units()[static_cast<std::size_t>(index[j])];
    probabilities[j] = static_cast<float>(static_cast<double>(drawn) / static_cast<double>(all));
  }
}

std::int64_t PrefixTree::sum_before(std::size_t count) const {
  const std::int64_t* line = leaves_.data()->value + count / kLine * kLine;
  std::int64_t sum = std::accumulate(line, line + count % kLine, std::int64_t{0});
  std::size_t child = count / kLine;
  for (const Buffer<TreeNode>& level : nodes_) {
    const std::size_t lines = child % kFan / kLine, children = child % kLine;
    const TreeNode* node = level.data() + child / kFan;  // is there if the child is not the first
    if (lines > 0) sum += node->lines.value[lines - 1];
    if (children > 0) sum += node->children[lines].value[children - 1];
    child /= kFan;
  }
  return child == 0 ? sum : total();
}

void PrefixTree::load(std::span<const std::int64_t> given, double largest) {
  if (given.size() != size_) {
    throw std::invalid_argument("units must have " + std::to_string(size_) + " entries, got " +
                                std::to_string(given.size()));
  }
  const Buffer<std::int64_t> units = snapshot(given.data(), given.size());
  for (const std::int64_t unit : units) {
    if (unit < 0 || unit > max_units_) {
      throw std::invalid_argument("units must be in [0, " + std::to_string(max_units_) + "], got " +
                                  std::to_string(unit));
    }
  }
  largest_ = largest;
  std::copy(units.begin(), units.end(), leaves_.data()->value);
  std::vector<std::int64_t> sums(leaves_.size());  // of the children of the level
  for (std::size_t line = 0; line < sums.size(); ++line) {
    const std::int64_t* leaf = leaves_[line].value;
    sums[line] = std::accumulate(leaf, leaf + kLine, std::int64_t{0});
  }
  for (Buffer<TreeNode>& level : nodes_) {
    sums.resize(level.size() * kFan);
    for (std::size_t n = 0; n < level.size(); ++n) {
      const std::int64_t* from = sums.data() + n * kFan;
      std::int64_t total = 0;
      for (std::size_t line = 0; line < kLine; ++line, from += kLine) {
        TreeLine& children = level[n].children[line];
        std::partial_sum(from, from + kLine, children.value);
        level[n].lines.value[line] = total += children.value[kLine - 1];
      }
      sums[n] = total;
    }
    sums.resize(level.size());
  }
}

}  // namespace dynsample
