#include "core/bernoulli.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/random.h"
#include "core/sum.h"

namespace dynsample {
namespace {

constexpr std::size_t kBatch = 1024;

}  // namespace

void CdfPart::bins(std::size_t first, std::size_t count, std::uint32_t* out) const {
  const std::uint8_t* const rows = where.empty() ? nullptr : where.data() + first;
  kernels().draw.bins(values.data() + first, rows, count, range, out);
}

CdfCounts cdf_thresholds(const CdfCounts& counts, double beta) {
  std::array<double, kCdfBins> share;
  std::uint64_t total = 0, below = 0;
  for (const std::uint64_t count : counts) total += count;
  for (std::size_t bin = 0; bin < kCdfBins; ++bin) {
    below += counts[bin];
    share[bin] = static_cast<double>(below) / static_cast<double>(total);
  }
  std::array<double, kCdfBins> probability;
  kernels().draw.power(share.data(), kCdfBins, Exponent(beta), probability.data());
  CdfCounts keep_below;
  for (std::size_t bin = 0; bin < kCdfBins; ++bin) {
    keep_below[bin] = static_cast<std::uint64_t>(std::min(probability[bin], 1.0) * 0x1p32);
  }
  return keep_below;
}

void power(std::span<const float> values, double exponent, std::span<float> out) {
  struct Negative {
    std::size_t row;
    float value = 0;
  };
  const Chunks chunks(values.size(), Chunks::kMadeRows);
  std::vector<std::optional<Negative>> found(chunks.count());
  chunks.run([&](std::size_t chunk, std::size_t begin, std::size_t end) {
    std::array<double, kBatch> batch, powers;
    for (std::size_t first = begin; first < end; first += kBatch) {
      const std::span here(batch.data(), std::min(kBatch, end - first));
      std::copy_n(&values[first], here.size(), here.data());
      const auto negative = std::ranges::find_if(here, [](double value) { return value < 0; });
      if (negative != here.end()) {
        found[chunk] = {first + static_cast<std::size_t>(negative - here.begin()),
                        static_cast<float>(*negative)};
        return;
      }
      kernels().draw.power(here.data(), here.size(), Exponent(exponent), powers.data());
      std::transform(powers.data(), powers.data() + here.size(), &out[first],
                     [](double x) { return static_cast<float>(x); });
    }
  });
  for (const auto& negative : found) {
    if (!negative) continue;
    char text[32];
    std::snprintf(text, sizeof text, "%g", static_cast<double>(negative->value));
    throw std::invalid_argument("values must not be negative, got " + std::string(text) + " at " +
                                std::to_string(negative->row));
  }
}

void exponentials(std::span<const float> values, std::span<float> out) {
  Chunks(values.size(), Chunks::kMadeRows)
      .run([&](std::size_t, std::size_t first, std::size_t last) {
        kernels().draw.exp(values.data() + first, last - first, out.data() + first);
      });
}

CdfCounts cdf_counts(const CdfPart& part) {
  const Chunks chunks(part.values.size(), Chunks::kMadeRows);
  std::vector<std::array<std::uint32_t, kCdfBins + 1>> counts(chunks.count());
  chunks.run([&](std::size_t chunk, std::size_t begin, std::size_t end) {
    std::array<std::uint32_t, kBatch> bins;
    for (std::size_t first = begin; first < end; first += kBatch) {
      const std::size_t here = std::min(kBatch, end - first);
      part.bins(first, here, bins.data());
      for (std::size_t j = 0; j < here; ++j) ++counts[chunk][bins[j]];
    }
  });
  CdfCounts all = {};
  for (const auto& some : counts) {
    for (std::size_t bin = 0; bin < kCdfBins; ++bin) all[bin] += some[bin];
  }
  return all;
}

void cdf_keep(const CdfPart& part, const CdfCounts& counts, double beta, std::uint64_t seed,
              std::uint32_t epoch, std::size_t first, std::span<std::uint8_t> kept) {
  if (first % 4) throw std::invalid_argument("first must be a multiple of 4");
  std::array<std::uint64_t, kCdfBins + 1> keep_below;
  std::ranges::copy(cdf_thresholds(counts, beta), keep_below.begin());
  keep_below[kCdfBins] = std::uint64_t{1} << 32;  // takes no part: kept
  const std::size_t size = part.values.size();
  Chunks(size, Chunks::kMadeRows, kBatch).run([&](std::size_t, std::size_t begin, std::size_t end) {
    std::array<std::uint32_t, kBatch> words, bins;
    for (std::size_t at = begin; at < end; at += kBatch) {
      const std::size_t here = std::min(kBatch, end - at);
      kernels().random.fill(seed, (first + at) / 4, epoch, kBernoulli, (here + 3) / 4,
                            words.data());
      part.bins(at, here, bins.data());
      for (std::size_t j = 0; j < here; ++j) kept[at + j] = words[j] < keep_below[bins[j]];
    }
  });
}

}  // namespace dynsample
