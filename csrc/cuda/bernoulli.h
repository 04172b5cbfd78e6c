// Coins by share, and powers; see core/bernoulli.h. All pointers are device memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/cdf.h"
#include "cuda/no_row.h"
#include "cuda/stream.h"

namespace dynsample::cuda {

// out[i] = values[i] ^ exponent. Gives the first row below 0, kNoRow when there is none; waits for
// the stream.
std::uint32_t power(const float* values, std::size_t size, double exponent, float* out,
                    Scratch& scratch, Stream stream);

// out[i] = e ^ values[i].
void exp(const float* values, std::size_t size, float* out, Stream stream);

// Rows of a part; a null `where` leaves none out.
struct CdfPart {
  const float* values;
  const std::uint8_t* where;
  std::size_t size;
  CdfRange range;
};

// Adds the rows that take part to the counts[kCdfBins].
void cdf_counts(const CdfPart& part, std::uint64_t* counts, Stream stream);

// kept[i] = whether row first + i is kept: by the words below which it is for each bin, or because
// it takes no part. `first` is a multiple of 4.
void cdf_keep(const CdfPart& part, const std::uint64_t* keep_below, std::uint64_t seed,
              std::uint32_t epoch, std::size_t first, std::uint8_t* kept, Stream stream);

}  // namespace dynsample::cuda
