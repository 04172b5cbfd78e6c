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

constexpr std::size_t kBatch = 1024;

bool takes_part(const CdfPart& part, std::size_t i) {
  return std::isfinite(part.values[i]) && (part.where.empty() || part.where[i]);
}

std::size_t bin(const CdfPart& part, std::size_t i) {
  const double low = part.low, high = part.high;
  const double z = (static_cast<double>(part.values[i]) - low) / (high - low);
  return std::min(static_cast<std::size_t>(kCdfBins * z), kCdfBins - 1);
}

// For each bin, the words below which a row is kept.
CdfCounts thresholds(const CdfCounts& counts, double beta) {
  std::array<double, kCdfBins> share;
  std::uint64_t total = 0, below = 0;
  for (const std::uint64_t count : counts) total += count;
  for (std::size_t bin = 0; bin < kCdfBins; ++bin) {
    below += counts[bin];
    share[bin] = static_cast<double>(below) / static_cast<double>(total);
  }
  std::array<double, kCdfBins> probability;
  kernels().draw.power(share.data(), kCdfBins, beta, probability.data());
  CdfCounts keep_below;
  for (std::size_t bin = 0; bin < kCdfBins; ++bin) {
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

CdfCounts cdf_counts(const CdfPart& part) {
  CdfCounts counts = {};
  for (std::size_t i = 0; i < part.values.size(); ++i) {
    if (takes_part(part, i)) ++counts[bin(part, i)];
  }
  return counts;
}

void cdf_keep(const CdfPart& part, const CdfCounts& counts, double beta, std::uint64_t seed,
              std::uint32_t epoch, std::size_t first, std::span<std::uint8_t> kept) {
  if (first % 4) throw std::invalid_argument("first must be a multiple of 4");
  const CdfCounts keep_below = thresholds(counts, beta);
  std::array<std::uint32_t, kBatch> words;
  for (std::size_t at = 0; at < part.values.size(); at += kBatch) {
    const std::size_t here = std::min(kBatch, part.values.size() - at);
    kernels().random.fill(seed, (first + at) / 4, epoch, kBernoulli, (here + 3) / 4, words.data());
    for (std::size_t i = at; i < at + here; ++i) {
      kept[i] = !takes_part(part, i) || words[i - at] < keep_below[bin(part, i)];
    }
  }
}

void bernoulli_cdf(std::span<const float> values, double beta, std::uint64_t seed,
                   std::uint32_t epoch, std::span<const std::uint8_t> where,
                   std::span<std::uint8_t> kept) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  CdfPart part{values, where, kInfinity, -kInfinity};
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!takes_part(part, i)) continue;
    part.low = std::min(part.low, values[i]);
    part.high = std::max(part.high, values[i]);
  }
  if (!(part.low < part.high)) {
    std::ranges::fill(kept, 1);
    return;
  }
  cdf_keep(part, cdf_counts(part), beta, seed, epoch, 0, kept);
}

}  // namespace dynsample
