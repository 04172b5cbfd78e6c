// Selective Backprop's coins, and a power that is the same on every machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/cdf.h"

namespace dynsample {

// out[i] = values[i] ^ exponent, computed in double with + - * / only. 0 stays 0 and NaN stays NaN.
// Throws std::invalid_argument that names the first negative value.
void power(std::span<const float> values, double exponent, std::span<float> out);

// out[i] = e ^ values[i], rounded to float32, with the same bits on every machine. NaN stays NaN.
void exponentials(std::span<const float> values, std::span<float> out);

// A row is kept with probability share(value) ^ beta, where share is the inclusive cumulative share
// of the value's bin among 1000 bins from the lowest to the highest value (Jiang et al.,
// "Accelerating deep learning by focusing on the biggest losers", 2019, over the whole data set).
// Rows that are not finite or not in `where` (empty: all are) take no part and are kept.
//
// Here are parts of the rows: the counts by bin of all parts add up. `low` and `high` are the
// extremes of the rows that take part, `first` is the number of the first row, a multiple of 4.
using CdfCounts = std::array<std::uint64_t, kCdfBins>;

struct CdfPart {
  std::span<const float> values;
  std::span<const std::uint8_t> where;
  CdfRange range;

  // out[j] = the bin of row first + j, kCdfBins when it takes no part.
  void bins(std::size_t first, std::size_t count, std::uint32_t* out) const;
};

CdfCounts cdf_counts(const CdfPart& part);

// For each bin, the words below which a row is kept, by the counts of all rows.
CdfCounts cdf_thresholds(const CdfCounts& counts, double beta);

void cdf_keep(const CdfPart& part, const CdfCounts& counts, double beta, std::uint64_t seed,
              std::uint32_t epoch, std::size_t first, std::span<std::uint8_t> kept);

}  // namespace dynsample
