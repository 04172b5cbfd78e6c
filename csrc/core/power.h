// A power with the same bits on every machine, those of + - * / of double; on the CPU and the GPU.
// Without branches, and with choices by bits, so that the compiler can run it in vectors.
#pragma once

#include <cstdint>

#include "core/bits.h"

namespace dynsample {

constexpr std::uint64_t kDoubleInfinity = 0x7FF0000000000000u;

// `yes` or `no`; see choose_float.
DYNSAMPLE_INLINE double choose_double(bool condition, double yes, double no) {
  const std::uint64_t mask = 0 - std::uint64_t{condition};
  return double_of_bits((double_bits(yes) & mask) | (double_bits(no) & ~mask));
}

// Of a normal, positive x.
DYNSAMPLE_INLINE double log_of(double x) {
  const std::uint64_t shifted = double_bits(x) + (0x3FF0000000000000u - 0x3FE6A09E667F3BCDu);
  // The upper bits as the last digits of 2^52: few processors convert 64-bit integers in vectors.
  const double exponent = double_of_bits(0x4330000000000000u | shifted >> 52) - (0x1p52 + 1023);
  const double m = double_of_bits((shifted & 0xFFFFFFFFFFFFFu) + 0x3FE6A09E667F3BCDu);
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double series = 1.0 / 23;
  for (int term = 21; term >= 3; term -= 2) series = series * z + 1.0 / term;
  const double log_m = 2.0 * s + 2.0 * s * (series * z);
  return exponent * 0x1.62e42fefa3800p-1 + (exponent * 0x1.ef35793c76730p-45 + log_m);
}

// x / n, n in [1, 14], also rounded as a division is where it is none, which takes many times as
// long as the rest. 1 / n is off by 2^-54 of it at most, so that the first quotient is off by less
// than its last place, and one correction is exact (Markstein, "Computation of elementary functions
// on the IBM RISC System/6000 processor", 1990); not of subnormal ones, which are nothing beside 1.
DYNSAMPLE_INLINE double over(double x, int n) {
#if defined(__FMA__) && !defined(__CUDACC__)
  const double inverse = 1.0 / n, quotient = x * inverse;
  return __builtin_fma(__builtin_fma(-quotient, n, x), inverse, quotient);
#else
  return x / n;
#endif
}

DYNSAMPLE_INLINE double exp_of(double x) {
  const double most = x < 710 ? x : 710, inside = most > -746 ? most : -746;  // inf and 0
  const double scaled = inside * 0x1.71547652b82fep+0;
  const std::uint64_t sign = double_bits(scaled) & std::uint64_t{1} << 63;
  const int n = static_cast<int>(scaled + double_of_bits(double_bits(0.5) | sign));
  const double r = (inside - n * 0x1.62e42fefa3800p-1) - n * 0x1.ef35793c76730p-45;
  double sum = 1;
  for (int term = 14; term >= 1; --term) sum = 1.0 + over(sum * r, term);
  const int half = n / 2;
  const std::uint64_t one = 1023, low = static_cast<std::uint64_t>(half) + one,
                      high = static_cast<std::uint64_t>(n - half) + one;
  return sum * double_of_bits(low << 52) * double_of_bits(high << 52);
}

// The same, where x may be NaN, which stays one.
DYNSAMPLE_INLINE double exp_or_nan(double x) { return choose_double(x != x, x, exp_of(x)); }

// What the powers of many numbers share; not worked out in the loop over them, whose vectors it
// would break up.
struct Exponent {
  double value, of_infinity;

  DYNSAMPLE_INLINE explicit Exponent(double exponent)
      : value(exponent),
        of_infinity(exponent > 0 ? double_of_bits(kDoubleInfinity) : exponent == 0) {}
};

// x ^ exponent of an x that is neither negative nor subnormal; 0 stays 0 and NaN stays NaN.
DYNSAMPLE_INLINE double power_of(double x, Exponent exponent) {
  const std::uint64_t bits = double_bits(x);
  const bool usual = bits - 1 < kDoubleInfinity - 1;  // neither 0, nor infinite, nor NaN
  const double found = exp_of(exponent.value * log_of(choose_double(usual, x, 1)));
  const double other = choose_double(bits == kDoubleInfinity, exponent.of_infinity, x);
  return choose_double(usual, found, choose_double(bits << 1 == 0, 0, other));
}

}  // namespace dynsample
