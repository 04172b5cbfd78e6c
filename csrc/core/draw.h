// Draws with replacement from fixed-point rates.
//
// A probability p becomes the integer r = floor(p * k * 2^32 / sum) + 1 (0 stays 0), in units of
// 2^-32 of a draw; R is the sum of all r, at least k * 2^32. Everything after that is exact, so the
// draw does not depend on the order of any sum, and a positive probability never becomes zero.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dynsample {

constexpr std::uint32_t kMaxDraws = 0xFFFFFFFEu;  // R stays below 2^64

enum class DrawMethod { kSystematic, kMultinomial };

// What stands for probabilities that are not finite: the largest finite one, 1 if none is positive.
// Throws std::invalid_argument that names the first negative one.
float largest_finite(std::span<const float> probabilities);

struct Rates {
  std::vector<std::uint64_t> rate;
  std::uint64_t total;
};

// Throws std::invalid_argument when one is negative, or when there is nothing to draw k > 0 from.
Rates fixed_point_rates(std::span<const float> probabilities, std::uint32_t k);

// counts[i] = how often row i is drawn; they add up to k. Systematic: R is a circle, pointers stand
// at U + j * 2^32 for a uniform U, and the expected count is k * r / R exactly. Multinomial: k
// independent points below R, looked up in the cumulative rates.
void draw_counts(std::span<const float> probabilities, std::uint32_t k, std::uint64_t seed,
                 std::uint32_t epoch, DrawMethod method, std::span<std::uint32_t> counts);

// k = out.size() rows in random order.
void draw(std::span<const float> probabilities, std::uint64_t seed, std::uint32_t epoch,
          DrawMethod method, std::span<std::int64_t> out);

// out[i] = R / (N r_i), 0 where r_i is 0: the weights that make the draw unbiased.
void inverse_probabilities(std::span<const float> probabilities, std::uint32_t k,
                           std::span<float> out);

}  // namespace dynsample
