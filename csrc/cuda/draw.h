// Draws with replacement, and the keys of those without; see core/draw.h and core/race.h. All
// pointers are device memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/stream.h"

namespace dynsample::cuda {

// keys[i] = the key of row first + i in the race; `first` is a multiple of 4.
void race_keys(const float* p, std::size_t size, std::size_t first, float substitute,
               std::uint64_t seed, std::uint32_t epoch, std::uint32_t* keys, Stream stream);

// until[i] = the rates of the rows 0 to i, added up.
void cumulative_rates(const float* p, std::size_t size, float substitute, double scale,
                      std::uint64_t* until, Scratch& scratch, Stream stream);

// Of the rows of a part, by the cumulative rates of the part.
struct RatesPart {
  const std::uint64_t* until;
  std::size_t num_rows;
};

// counts[i] = how often row i of the part is drawn; the rates before the part add up to `before`,
// those of all rows to `total`.
void systematic_counts(RatesPart part, std::uint64_t before, std::uint64_t total, std::uint32_t k,
                       std::uint64_t seed, std::uint32_t epoch, std::uint32_t* counts,
                       Stream stream);

// points[i] = point of draw first + i; `first` is even.
void multinomial_points(std::uint64_t total, std::uint64_t seed, std::uint32_t epoch,
                        std::uint32_t first, std::size_t size, std::uint64_t* points,
                        Stream stream);

// Adds 1 to the count of the row of each of the k draws of a whole, whose rates add up to `total`.
void multinomial_counts(RatesPart whole, std::uint64_t total, std::uint32_t k, std::uint64_t seed,
                        std::uint32_t epoch, std::uint32_t* counts, Stream stream);

// Adds 1 to the count of the row of each point less `before`. False, after the stream was waited
// for, when a point is in another part.
bool count_points(RatesPart part, std::uint64_t before, const std::uint64_t* points,
                  std::size_t size, std::uint32_t* counts, Scratch& scratch, Stream stream);

// out[i] = total / (all_rows * rate of row i), 0 where the rate is 0.
void inverse_probabilities(RatesPart part, std::uint64_t total, std::uint64_t all_rows, float* out,
                           Stream stream);

}  // namespace dynsample::cuda
