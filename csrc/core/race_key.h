// The key of one row in the race of core/race.h, on the CPU and the GPU.
#pragma once

#include <cstdint>

#include "core/bits.h"
#include "core/order_key.h"

namespace dynsample {

// `yes` where mask is all ones, `no` where it is 0. By bits: a conditional would keep the compiler
// from running both sides in vectors, as floating-point operations may trap.
DYNSAMPLE_INLINE float choose_float(std::uint32_t mask, float yes, float no) {
  return float_of_bits((float_bits(yes) & mask) | (float_bits(no) & ~mask));
}

// -log(u) of u = (word + 1/2) / 2^32 by 2 atanh((m - 1) / (m + 1)), m in [sqrt(1/2), sqrt(2)). For
// u near 1, m - 1 comes from 1 - u, which is as exact as u is near 0. It never rises from one word
// to the next, and falls from 0 to 1, which core/race.cpp relies on: all 2^32 were tried.
DYNSAMPLE_INLINE float exponential(std::uint32_t word) {
  const std::uint32_t upper = 0u - (word >> 31);
  const std::int32_t side = static_cast<std::int32_t>(word ^ upper);
  const float tail = (static_cast<float>(side) + 0.5f) * 0x1p-32f;
  const float u = choose_float(upper, 1.0f - tail, tail);
  const std::uint32_t shifted = float_bits(u) + (0x3F800000u - 0x3F3504F3u);
  const std::int32_t exponent = static_cast<std::int32_t>(shifted >> 23) - 127;
  const float m = float_of_bits((shifted & 0x7FFFFFu) + 0x3F3504F3u);
  const std::uint32_t near_one = upper & (0u - static_cast<std::uint32_t>(exponent == 0));
  const float top = choose_float(near_one, -tail, m - 1.0f);
  const float bottom = choose_float(near_one, 2.0f - tail, m + 1.0f);
  const float s = top / bottom;
  const float z = s * s;
  const float series = (((z * (1.0f / 9) + 1.0f / 7) * z + 1.0f / 5) * z + 1.0f / 3) * z;
  const float log_m = 2.0f * s + 2.0f * s * series;
  return -(static_cast<float>(exponent) * 0.693147182f + log_m);
}

// A key that orders as exponential(word) / p, 2^32 - 1 where p is 0; `substitute` stands for a p
// that is not finite, both by their bits. The quotient's exponent is kept apart from its mantissa,
// so that no ratio of probabilities, and no subnormal one, is out of range.
DYNSAMPLE_INLINE std::uint32_t race_key(std::uint32_t p, std::uint32_t word,
                                        std::uint32_t substitute) {
  const std::uint32_t given = p & 0x7FFFFFFFu;
  const std::uint32_t raw = given >= kInfinityBits ? substitute : given;
  const std::uint32_t subnormal = 0u - static_cast<std::uint32_t>(raw < 0x800000u);
  const std::uint32_t scaled = float_bits(static_cast<float>(static_cast<std::int32_t>(raw)));
  const std::uint32_t normal = (scaled & subnormal) | (raw & ~subnormal);
  const std::uint32_t exponent = (normal >> 23) - (subnormal & 149u);
  const float mantissa = float_of_bits((normal & 0x7FFFFFu) | 0x3F800000u);
  const std::uint32_t key = float_bits(exponential(word) / mantissa) + ((167u - exponent) << 23);
  return key | (0u - static_cast<std::uint32_t>(raw == 0));
}

}  // namespace dynsample
