#include "core/race.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

#include "core/dispatch.h"
#include "core/draw.h"
#include "core/kth_key.h"
#include "core/random.h"

namespace dynsample {
namespace {

constexpr std::size_t kSmall = 4096;  // keys that are all candidates, without a sample
constexpr std::uint32_t kHighestKey = 0xFFFFFFFFu;

// Marks the k lowest keys, ties by row, if the k-th is in [low, high]; else false.
bool mark_lowest(std::span<const std::uint32_t> keys, std::size_t k, std::uint32_t low,
                 std::uint32_t high, std::span<std::uint8_t> mask) {
  const KeyBuffer inside = key_buffer(keys.size()), rows = key_buffer(keys.size());
  std::size_t below = 0, candidates = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::uint32_t key = keys[i];
    mask[i] = key < low;
    below += key < low;
    inside[candidates] = key;
    rows[candidates] = static_cast<std::uint32_t>(i);
    candidates += key - low <= high - low;
  }
  if (k <= below || k > below + candidates) return false;
  const std::span<const std::uint32_t> found(inside.get(), candidates);
  const std::uint32_t kth = kth_key(found, k - below);
  const auto is_lower = [kth](std::uint32_t key) { return key < kth; };
  auto ties = k - below - static_cast<std::size_t>(std::ranges::count_if(found, is_lower));
  for (std::size_t j = 0; j < candidates; ++j) {
    const bool tie = found[j] == kth && ties > 0;
    mask[rows[j]] = found[j] < kth || tie;
    ties -= tie;
  }
  return true;
}

// As mark_lowest over all keys; a sample brackets the k-th, and one that misled costs time only.
void mark_lowest(std::span<const std::uint32_t> keys, std::size_t k, std::span<std::uint8_t> mask) {
  std::uint32_t low = 0, high = kHighestKey;
  if (keys.size() > kSmall) {
    const double share = std::pow(static_cast<double>(keys.size()), -1.0 / 3.0);
    const auto size = static_cast<std::size_t>(share * static_cast<double>(keys.size()));
    const Positions positions(keys.size(), size);
    const KeyBuffer buffer = key_buffer(size);
    for (std::size_t j = 0; j < size; ++j) buffer[j] = keys[positions[j]];
    const std::span<const std::uint32_t> sample(buffer.get(), size);
    const auto [from, to] = bracket(size, k, keys.size());
    if (from > 1) low = kth_key(sample, from);
    if (to < size) high = kth_key(sample, to);
  }
  if (!mark_lowest(keys, k, low, high, mask)) mark_lowest(keys, k, 0, kHighestKey, mask);
}

}  // namespace

void draw_mask(std::span<const float> probabilities, std::size_t k, std::uint64_t seed,
               std::uint32_t epoch, std::span<std::uint8_t> mask) {
  const float substitute = largest_finite(probabilities);
  const std::size_t n = probabilities.size();
  std::size_t positive = 0;
  for (const float p : probabilities) positive += !(p == 0);
  if (k > positive) {
    throw std::invalid_argument("k must be at most the number of positive probabilities, " +
                                std::to_string(positive) + ", got " + std::to_string(k));
  }
  if (k == 0) {
    std::fill(mask.begin(), mask.end(), 0);
    return;
  }
  constexpr std::size_t kBatch = 1024;
  std::array<std::uint32_t, kBatch> words;
  const KeyBuffer buffer = key_buffer(n);
  const std::span<std::uint32_t> keys(buffer.get(), n);
  for (std::size_t first = 0; first < n; first += kBatch) {
    const std::size_t here = std::min(kBatch, n - first);
    kernels().random.fill(seed, first / 4, epoch, kRace, (here + 3) / 4, words.data());
    kernels().draw.race(probabilities.data() + first, words.data(), here, substitute,
                        keys.data() + first);
  }
  mark_lowest(keys, k, mask);
}

}  // namespace dynsample
