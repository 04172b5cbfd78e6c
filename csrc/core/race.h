// Draws without replacement: the exponential race.
#pragma once

#include <cstdint>
#include <span>

#include "core/kth_key.h"

namespace dynsample {

// Keys of the rows first, ..., whose k lowest over all rows are drawn; 2^32 - 1 where p is 0.
// `first` is a multiple of 4, `substitute` stands for a p that is not finite.
KeyBuffer race_keys(std::span<const float> probabilities, std::size_t first, float substitute,
                    std::uint64_t seed, std::uint32_t epoch);

// mask[i] = 1 for k rows drawn without replacement: those with the smallest E_i / p_i, E_i
// exponential, ties to the smaller row (Efraimidis and Spirakis, "Weighted random sampling with a
// reservoir", 2006, in its logarithmic form). Rows of probability 0 are never drawn. Throws
// std::invalid_argument when k is above the number of others, or a probability is negative. The
// stream of policies and `ops` is kRace.
void draw_mask(std::span<const float> probabilities, std::size_t k, std::uint64_t seed,
               std::uint32_t epoch, std::uint32_t stream, std::span<std::uint8_t> mask);

// The same with equal chances, among the rows in `where` (empty: all).
void sample_mask(std::span<const std::uint8_t> where, std::size_t k, std::uint64_t seed,
                 std::uint32_t epoch, std::span<std::uint8_t> mask);

}  // namespace dynsample
