// The rates of core/draw.h row by row, and the points that are drawn, on the CPU and the GPU.
#pragma once

#include <cstdint>

#include "core/bits.h"
#include "core/order_key.h"

namespace dynsample {

// What a survey of the probabilities looks for in one, by its bits.
struct RowSurvey {
  std::uint32_t finite;    // its bits where it is positive and finite, which order as numbers; or 0
  std::uint32_t zero;      // whether it is 0 or -0
  std::uint32_t negative;  // not 0 where it is below 0
};

DYNSAMPLE_INLINE RowSurvey survey_row(std::uint32_t p) {
  const std::uint32_t size = p & 0x7FFFFFFFu;
  return {p & (0u - std::uint32_t{p < kInfinityBits}), std::uint32_t{size == 0},
          // a sign, and a size of neither 0 nor NaN
          (p ^ size) & (0u - std::uint32_t{size - 1u < kInfinityBits})};
}

// A probability is `units` of 2^(max(exponent, 1) - 150).
struct ProbabilityUnits {
  std::uint32_t exponent, units;
};

DYNSAMPLE_INLINE ProbabilityUnits units_of(float p, float substitute) {
  const std::uint32_t bits = float_bits(is_finite_bits(float_bits(p)) ? p : substitute);
  const std::uint32_t exponent = bits >> 23 & 0xFF, fraction = bits & 0x7FFFFF;
  return {exponent, exponent ? fraction | 0x800000 : fraction};
}

// floor(x) of an x in [0, 2^64). By operations on integers, of which every processor has vectors:
// of the conversion to 64 bits only the latest.
DYNSAMPLE_INLINE std::uint64_t whole_part(double x) {
  const std::uint64_t bits = double_bits(x);
  const std::uint64_t digits = (bits | std::uint64_t{1} << 52) << 11;  // 1.f in units of 2^-63
  const std::uint64_t shift = 1023 + 63 - (bits >> 52);
  return shift < 64 ? digits >> (shift & 63) : 0;
}

// floor(p * scale) + 1, 0 where p is 0; `substitute` stands for a p that is not finite.
DYNSAMPLE_INLINE std::uint64_t rate_of(float p, float substitute, double scale) {
  const float here = is_finite_bits(float_bits(p)) ? p : substitute;
  const std::uint64_t rate = whole_part(static_cast<double>(here) * scale) + 1;
  return here > 0 ? rate : 0;
}

// R / (N r), 0 where the rate is 0.
DYNSAMPLE_INLINE float inverse_probability(double total, double num_rows, std::uint64_t rate) {
  return rate ? static_cast<float>(total / (num_rows * static_cast<double>(rate))) : 0;
}

// A point below `total` out of 64 random bits.
DYNSAMPLE_INLINE std::uint64_t point_below(std::uint64_t total, std::uint32_t low_word,
                                           std::uint32_t high_word) {
  const std::uint64_t word = std::uint64_t{high_word} << 32 | low_word;
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(word) * total >> 64);
}

// The k pointers of the systematic draw: they stand at start + j * 2^32 on a circle of length R.
struct Pointers {
  std::uint64_t start;    // where the circle is cut open
  std::uint64_t to_end;   // length from there to the end of the circle
  std::uint64_t skipped;  // pointers in it
  std::uint32_t k;

  // Pointers in [0, position), less those that come before the start, modulo 2^64: only differences
  // count.
  DYNSAMPLE_INLINE std::uint64_t until(std::uint64_t position) const {
    const bool passed = position >= start;  // where the pointers begin again
    return below(passed ? position - start : position + to_end, k) +
           (passed ? k - skipped : 0 - skipped);
  }

  // Pointers that lie in [0, length) of the circle cut open.
  static DYNSAMPLE_INLINE std::uint64_t below(std::uint64_t length, std::uint32_t k) {
    const std::uint64_t all = (length >> 32) + ((length & 0xFFFFFFFF) != 0);
    return all < k ? all : k;
  }
};

DYNSAMPLE_INLINE Pointers make_pointers(std::uint64_t total, std::uint32_t k, std::uint64_t seed,
                                        std::uint32_t epoch) {
  const Philox4 word = philox(seed, 0, epoch, kDraw);
  const std::uint64_t start = point_below(total, word.lane[0], word.lane[1]);
  return {start, total - start, Pointers::below(total - start, k), k};
}

}  // namespace dynsample
