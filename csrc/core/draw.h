// Draws with replacement from fixed-point rates.
//
// A probability p becomes the integer r = floor(p * k * 2^32 / sum) + 1 (0 stays 0), in units of
// 2^-32 of a draw; R is the sum of all r, at least k * 2^32. Everything after that is exact, so the
// draw does not depend on the order of any sum, and a positive probability never becomes zero.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/buffer.h"

namespace dynsample {

constexpr std::uint32_t kMaxDraws = 0xFFFFFFFEu;  // R stays below 2^64

enum class DrawMethod { kSystematic, kMultinomial };

struct Probabilities {
  float largest;         // the largest finite one
  std::size_t positive;  // how many are not 0

  // What those that are not finite count as.
  float substitute() const { return largest > 0 ? largest : 1; }
};

// Throws std::invalid_argument that names the first negative one.
Probabilities check_probabilities(std::span<const float> probabilities);

// The sum of probabilities as integers by exponent, which add up over parts in any order (24 bits
// each, below 2^56 in all).
using ExponentSums = std::array<std::uint64_t, 256>;
ExponentSums exponent_sums(std::span<const float> probabilities, float substitute);

// What turns probabilities into rates for k draws, the same for all parts of them. Throws
// std::invalid_argument when there is nothing to draw k > 0 from.
struct RateScale {
  float substitute;
  double scale;
};
RateScale rate_scale(const ExponentSums& sums, float substitute, std::uint32_t k);
RateScale rate_scale(std::span<const float> probabilities, std::uint32_t k);

// The r of all rows, worked out block by block where they are needed: they would take twice the
// room of the probabilities.
class Rates {
 public:
  static constexpr std::size_t kBlock = 2048;
  using Block = std::array<std::uint64_t, kBlock>;

  Rates(std::span<const float> probabilities, RateScale scale);

  // By themselves. Throws std::invalid_argument when one is negative, or as rate_scale does.
  Rates(std::span<const float> probabilities, std::uint32_t k);

  std::size_t size() const { return probabilities_.size(); }
  std::uint64_t total() const { return before_.back(); }

  // Block b has the rows from b * kBlock on, before(b) is the sum of the rates before it.
  std::size_t num_blocks() const { return before_.size() - 1; }
  std::uint64_t before(std::size_t block) const { return before_[block]; }

  // Throws std::runtime_error when the rates do not add up as they did at first: another thread
  // writes to the probabilities.
  std::span<const std::uint64_t> block(std::size_t number, Block& rates) const;

 private:
  std::span<const std::uint64_t> work_out(std::size_t number, Block& rates) const;

  std::span<const float> probabilities_;
  RateScale scale_;
  Buffer<std::uint64_t> before_;
};

// Where the rates of a part of the rows lie among those of all.
struct Interval {
  std::uint64_t before;  // sum of the rates of the rows before the part
  std::uint64_t total;   // R
};

// counts[i] = how often row i of a part is drawn, k > 0 times in all. Systematic: R is a circle,
// pointers stand at U + j * 2^32 for a uniform U, and the expected count is k * r / R exactly.
void systematic_counts(const Rates& part, Interval interval, std::uint32_t k, std::uint64_t seed,
                       std::uint32_t epoch, std::span<std::uint32_t> counts);

// Multinomial, from all rows: k > 0 independent points below R, looked up in the cumulative rates.
// In parts: draws first, ... are points below R; each that is in the interval of a row counts for
// it.
void multinomial_counts(const Rates& rates, std::uint32_t k, std::uint64_t seed,
                        std::uint32_t epoch, std::span<std::uint32_t> counts);
void multinomial_points(std::uint64_t total, std::uint64_t seed, std::uint32_t epoch,
                        std::uint32_t first, std::span<std::uint64_t> points);
void count_points(const Rates& part, std::uint64_t before, std::span<const std::uint64_t> points,
                  std::span<std::uint32_t> counts);

// k = out.size() rows in random order.
void draw(std::span<const float> probabilities, std::uint64_t seed, std::uint32_t epoch,
          DrawMethod method, std::span<std::int64_t> out);

// out[i] = R / (N r_i), 0 where r_i is 0: the weights that make the draw unbiased. R is `total`, N
// the number of all rows.
void inverse_probabilities(const Rates& part, std::uint64_t total, std::size_t num_rows,
                           std::span<float> out);

}  // namespace dynsample
