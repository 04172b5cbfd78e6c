// Vectorised parts of the draws; see core/draw.h, core/race.h and core/bernoulli.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/cdf.h"
#include "core/power.h"

namespace dynsample {

struct Survey {
  float largest;         // of the finite ones, 0 when none is positive
  std::size_t positive;  // neither 0 nor -0
  bool negative;         // there is one below 0
};

// The probability of a draw by a pass rate p in [0, 1]: p (1 - p) + eps, or exp(-((p - target) /
// width)^2 / 2) + eps with `gaussian`. A p that is NaN, infinite or outside counts as the best one;
// one of at least `retire` has 0.
struct PassRateCurve {
  bool gaussian;
  float target, width, eps, retire;
};

struct PassRateCounts {
  std::size_t outside;   // finite and not in [0, 1]
  std::size_t retired;   // in [0, 1]
  std::size_t positive;  // probabilities above 0
};

struct DrawKernels {
  Survey (*survey)(const float* p, std::size_t n);
  // out[i] = floor(p[i] * scale) + 1, 0 where p[i] is 0; `substitute` stands for p that is not
  // finite.
  void (*rates)(const float* p, std::size_t n, float substitute, double scale, std::uint64_t* out);
  // out[i] = a key that orders as -log((words[i] + 1/2) / 2^32) / p[i], 2^32 - 1 where p[i] is 0.
  void (*race)(const float* p, const std::uint32_t* words, std::size_t n, float substitute,
               std::uint32_t* out);
  // out[i] = ~words[i], which orders as that key does where all p are the same; 2^32 - 1 where
  // where[i] is 0. `where` may be null: none is.
  void (*equal_race)(const std::uint8_t* where, const std::uint32_t* words, std::size_t n,
                     std::uint32_t* out);
  // out[i] = values[i] ^ exponent; 0 stays 0 and NaN stays NaN. To another array.
  void (*power)(const double* values, std::size_t n, Exponent exponent, double* out);
  // out[i] = e ^ values[i]; NaN stays NaN.
  void (*exp)(const float* values, std::size_t n, float* out);
  // out[i] = the bin of values[i], kCdfBins where it takes no part; see core/cdf.h.
  void (*bins)(const float* values, const std::uint8_t* where, std::size_t n, CdfRange range,
               std::uint32_t* out);
  PassRateCounts (*informative)(const float* rates, std::size_t n, const PassRateCurve& curve,
                                float* out);
};

}  // namespace dynsample
