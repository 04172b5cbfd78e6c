#include "core/race.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/dispatch.h"
#include "core/draw.h"
#include "core/random.h"

namespace dynsample {
namespace {

// The k-th smallest key (k >= 1), and how many of the keys equal to it are among the k smallest.
struct Threshold {
  std::uint32_t key;
  std::size_t equal;
};

Threshold kth_smallest(std::span<const std::uint32_t> keys, std::size_t k) {
  constexpr int kDigit = 16;
  std::uint32_t prefix = 0;
  for (int shift = kDigit; shift >= 0; shift -= kDigit) {
    std::vector<std::size_t> bins(std::size_t{1} << kDigit);
    for (const std::uint32_t key : keys) {
      const bool inside = shift == kDigit || key >> kDigit == prefix;
      bins[key >> shift & 0xFFFF] += inside;
    }
    std::uint32_t digit = 0;
    while (bins[digit] < k) k -= bins[digit++];
    prefix = prefix << kDigit | digit;
  }
  return {prefix, k};
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
  std::vector<std::uint32_t> keys(n);
  for (std::size_t first = 0; first < n; first += kBatch) {
    const std::size_t here = std::min(kBatch, n - first);
    kernels().random.fill(seed, first / 4, epoch, kRace, (here + 3) / 4, words.data());
    kernels().draw.race(probabilities.data() + first, words.data(), here, substitute,
                        keys.data() + first);
  }
  Threshold last = kth_smallest(keys, k);
  for (std::size_t i = 0; i < n; ++i) {
    const bool tied = keys[i] == last.key && last.equal > 0;
    last.equal -= tied;
    mask[i] = keys[i] < last.key || tied;
  }
}

}  // namespace dynsample
