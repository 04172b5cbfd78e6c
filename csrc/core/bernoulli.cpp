#include "core/bernoulli.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>

#include "core/dispatch.h"
#include "core/random.h"

namespace dynsample {
namespace {

constexpr std::size_t kBatch = 1024;

const std::uint8_t* flags(std::span<const std::uint8_t> where) {
  return where.empty() ? nullptr : where.data();
}

}  // namespace

CdfCounts cdf_thresholds(const CdfCounts& counts, double beta) {
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
  const float* const values = part.values.data();
  const std::uint8_t* const where = flags(part.where);
  for (std::size_t i = 0; i < part.values.size(); ++i) {
    if (cdf_takes_part(values, where, i)) ++counts[part.range.bin(values[i])];
  }
  return counts;
}

void cdf_keep(const CdfPart& part, const CdfCounts& counts, double beta, std::uint64_t seed,
              std::uint32_t epoch, std::size_t first, std::span<std::uint8_t> kept) {
  if (first % 4) throw std::invalid_argument("first must be a multiple of 4");
  const CdfCounts keep_below = cdf_thresholds(counts, beta);
  const float* const values = part.values.data();
  const std::uint8_t* const where = flags(part.where);
  std::array<std::uint32_t, kBatch> words;
  for (std::size_t at = 0; at < part.values.size(); at += kBatch) {
    const std::size_t here = std::min(kBatch, part.values.size() - at);
    kernels().random.fill(seed, (first + at) / 4, epoch, kBernoulli, (here + 3) / 4, words.data());
    for (std::size_t i = at; i < at + here; ++i) {
      kept[i] = !cdf_takes_part(values, where, i) ||
                words[i - at] < keep_below[part.range.bin(values[i])];
    }
  }
}

void bernoulli_cdf(std::span<const float> values, double beta, std::uint64_t seed,
                   std::uint32_t epoch, std::span<const std::uint8_t> where,
                   std::span<std::uint8_t> kept) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::uint8_t* const rows = flags(where);
  CdfRange range{kInfinity, -kInfinity};
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!cdf_takes_part(values.data(), rows, i)) continue;
    range.low = std::min(range.low, values[i]);
    range.high = std::max(range.high, values[i]);
  }
  if (!(range.low < range.high)) {
    std::ranges::fill(kept, 1);
    return;
  }
  const CdfPart part{values, where, range};
  cdf_keep(part, cdf_counts(part), beta, seed, epoch, 0, kept);
}

}  // namespace dynsample
