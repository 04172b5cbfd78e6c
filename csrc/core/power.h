// A power with the same bits on every machine: + - * / of double only, on the CPU and the GPU.
#pragma once

#include <cstdint>

#include "core/bits.h"

namespace dynsample {

DYNSAMPLE_INLINE double log_of(double x, bool subnormal) {
  const std::uint64_t raw = double_bits(subnormal ? x * 0x1p64 : x);
  const std::uint64_t shifted = raw + (0x3FF0000000000000u - 0x3FE6A09E667F3BCDu);
  const double exponent =
      static_cast<double>(static_cast<std::int64_t>(shifted >> 52) - 1023 - (subnormal ? 64 : 0));
  const double m = double_of_bits((shifted & 0xFFFFFFFFFFFFFu) + 0x3FE6A09E667F3BCDu);
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double series = 1.0 / 23;
  for (int term = 21; term >= 3; term -= 2) series = series * z + 1.0 / term;
  const double log_m = 2.0 * s + 2.0 * s * (series * z);
  return exponent * 0x1.62e42fefa3800p-1 + (exponent * 0x1.ef35793c76730p-45 + log_m);
}

DYNSAMPLE_INLINE double exp_of(double x) {
  if (x > 710) return double_of_bits(0x7FF0000000000000u);
  if (x < -746) return 0;
  const double scaled = x * 0x1.71547652b82fep+0;
  const int n = static_cast<int>(scaled + (scaled < 0 ? -0.5 : 0.5));
  const double r = (x - n * 0x1.62e42fefa3800p-1) - n * 0x1.ef35793c76730p-45;
  double sum = 1;
  for (int term = 14; term >= 1; --term) sum = 1.0 + sum * r / term;
  const int half = n / 2;
  const std::uint64_t one = 1023, low = static_cast<std::uint64_t>(half) + one,
                      high = static_cast<std::uint64_t>(n - half) + one;
  return sum * double_of_bits(low << 52) * double_of_bits(high << 52);
}

// x ^ exponent of an x that is not negative; 0 stays 0 and NaN stays NaN.
DYNSAMPLE_INLINE double power_of(double x, double exponent) {
  if (x != x || x == 0) return x == 0 ? 0 : x;
  if (exponent == 0) return 1;
  if (x > 0x1.fffffffffffffp1023) return exponent > 0 ? x : 0;
  return exp_of(exponent * log_of(x, x < 0x1p-1022));
}

}  // namespace dynsample
