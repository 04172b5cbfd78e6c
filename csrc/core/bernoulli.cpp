#include "core/bernoulli.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>

#include "core/dispatch.h"
#include "core/random.h"

namespace dynsample {
namespace {

constexpr std::size_t kBins = 1000;
constexpr std::size_t kBatch = 1024;

struct Range {
  double low, high;

  std::size_t bin(float value) const {
    const double z = (static_cast<double>(value) - low) / (high - low);
    return std::min(static_cast<std::size_t>(kBins * z), kBins - 1);
  }
};

// For each bin, the words below which a row is kept.
std::array<std::uint64_t, kBins> thresholds(const std::array<std::uint64_t, kBins>& counts,
                                            double beta) {
  std::array<double, kBins> share;
  std::uint64_t total = 0, below = 0;
  for (const std::uint64_t count : counts) total += count;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    below += counts[bin];
    share[bin] = static_cast<double>(below) / static_cast<double>(total);
  }
  std::array<double, kBins> probability;
  kernels().draw.power(share.data(), kBins, beta, probability.data());
  std::array<std::uint64_t, kBins> keep_below;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    keep_below[bin] = static_cast<std::uint64_t>(std::min(probability[bin], 1.0) * 0x1p32);
  }
  return keep_below;
}

}  // namespace

void power(std::span<const float> values, double exponent, std::span<float> out) {
  std::array<double, kBatch> batch;
  for (std::size_t first = 0; first < values.size(); first += kBatch) {
    const std::size_t here = std::min(kBatch, values.size() - first);
    for (std::size_t j = 0; j < here; ++j) {
      const float value = values[first + j];
      if (value < 0) {
        char text[32];
        std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
        throw std::invalid_argument("values must not be negative, got " + std::string(text) +
                                    " at " + std::to_string(first + j));
      }
      batch[j] = value;
    }
    kernels().draw.power(batch.data(), here, exponent, batch.data());
    for (std::size_t j = 0; j < here; ++j) out[first + j] = static_cast<float>(batch[j]);
  }
}

void bernoulli_cdf(std::span<const float> values, double beta, std::uint64_t seed,
                   std::uint32_t epoch, std::span<const std::uint8_t> where,
                   std::span<std::uint8_t> kept) {
  const auto takes_part = [&](std::size_t i) {
    return std::isfinite(values[i]) && (where.empty() || where[i]);
  };
  std::fill(kept.begin(), kept.end(), 1);
  Range range = {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!takes_part(i)) continue;
    range.low = std::min(range.low, static_cast<double>(values[i]));
    range.high = std::max(range.high, static_cast<double>(values[i]));
  }
  if (!(range.low < range.high)) return;
  std::array<std::uint64_t, kBins> counts = {};
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (takes_part(i)) ++counts[range.bin(values[i])];
  }
  const std::array<std::uint64_t, kBins> keep_below = thresholds(counts, beta);
  std::array<std::uint32_t, kBatch> words;
  for (std::size_t first = 0; first < values.size(); first += kBatch) {
    const std::size_t here = std::min(kBatch, values.size() - first);
    kernels().random.fill(seed, first / 4, epoch, kBernoulli, (here + 3) / 4, words.data());
    for (std::size_t i = first; i < first + here; ++i) {
      if (takes_part(i)) kept[i] = words[i - first] < keep_below[range.bin(values[i])];
    }
  }
}

}  // namespace dynsample
