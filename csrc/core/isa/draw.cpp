#include "core/isa/draw.h"

#include "core/isa/isa.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

constexpr std::uint32_t kInfinity = 0x7F800000;

inline std::uint32_t bits(float x) { return __builtin_bit_cast(std::uint32_t, x); }
inline float from_bits(std::uint32_t x) { return __builtin_bit_cast(float, x); }

// By bits, which order like the numbers where those are positive.
Survey survey(const float* p, std::size_t n) {
  constexpr std::size_t kBlock = 1024;  // counts of a block fit 32 bits
  std::uint32_t largest = 0, negative = 0;
  std::size_t positive = 0;
  for (std::size_t first = 0; first < n; first += kBlock) {
    const std::size_t last = n - first < kBlock ? n : first + kBlock;
    std::uint32_t zeros = 0;
    for (std::size_t i = first; i < last; ++i) {
      const std::uint32_t raw = bits(p[i]), size = raw & 0x7FFFFFFFu;
      const std::uint32_t finite = raw & (0u - std::uint32_t{raw < kInfinity});
      largest = finite > largest ? finite : largest;
      zeros += std::uint32_t{size == 0};
      // a sign, and a size of neither 0 nor NaN
      negative |= (raw ^ size) & (0u - std::uint32_t{size - 1u < kInfinity});
    }
    positive += last - first - zeros;
  }
  return {from_bits(largest), positive, negative != 0};
}

void rates(const float* p, std::size_t n, float substitute, double scale, std::uint64_t* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const float here = (bits(p[i]) & kInfinity) == kInfinity ? substitute : p[i];
    const std::uint64_t rate = static_cast<std::uint64_t>(static_cast<double>(here) * scale) + 1;
    out[i] = rate & (0 - static_cast<std::uint64_t>(here > 0));
  }
}

// `yes` where mask is all ones, `no` where it is 0. By bits: a conditional would keep the compiler
// from running both sides in vectors, as floating-point operations may trap.
inline float choose(std::uint32_t mask, float yes, float no) {
  return from_bits((bits(yes) & mask) | (bits(no) & ~mask));
}

// -log(u) of u = (word + 1/2) / 2^32 by 2 atanh((m - 1) / (m + 1)), m in [sqrt(1/2), sqrt(2)). For
// u near 1, m - 1 comes from 1 - u, which is as exact as u is near 0.
inline float exponential(std::uint32_t word) {
  const std::uint32_t upper = 0u - (word >> 31);
  const std::int32_t side = static_cast<std::int32_t>(word ^ upper);
  const float tail = (static_cast<float>(side) + 0.5f) * 0x1p-32f;
  const float u = choose(upper, 1.0f - tail, tail);
  const std::uint32_t shifted = bits(u) + (0x3F800000u - 0x3F3504F3u);
  const std::int32_t exponent = static_cast<std::int32_t>(shifted >> 23) - 127;
  const float m = from_bits((shifted & 0x7FFFFFu) + 0x3F3504F3u);
  const std::uint32_t near_one = upper & (0u - static_cast<std::uint32_t>(exponent == 0));
  const float top = choose(near_one, -tail, m - 1.0f);
  const float bottom = choose(near_one, 2.0f - tail, m + 1.0f);
  const float s = top / bottom;
  const float z = s * s;
  const float series = (((z * (1.0f / 9) + 1.0f / 7) * z + 1.0f / 5) * z + 1.0f / 3) * z;
  const float log_m = 2.0f * s + 2.0f * s * series;
  return -(static_cast<float>(exponent) * 0.693147182f + log_m);
}

// The quotient's exponent is kept apart from its mantissa, so that no ratio of probabilities, and
// no subnormal one, is out of range.
void race(const float* p, const std::uint32_t* words, std::size_t n, float substitute,
          std::uint32_t* out) {
  const std::uint32_t instead = bits(substitute);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t given = bits(p[i]) & 0x7FFFFFFFu;
    const std::uint32_t raw = given >= kInfinity ? instead : given;
    const std::uint32_t subnormal = 0u - static_cast<std::uint32_t>(raw < 0x800000u);
    const std::uint32_t scaled = bits(static_cast<float>(static_cast<std::int32_t>(raw)));
    const std::uint32_t normal = (scaled & subnormal) | (raw & ~subnormal);
    const std::uint32_t exponent = (normal >> 23) - (subnormal & 149u);
    const float mantissa = from_bits((normal & 0x7FFFFFu) | 0x3F800000u);
    const std::uint32_t key = bits(exponential(words[i]) / mantissa) + ((167u - exponent) << 23);
    out[i] = key | (0u - static_cast<std::uint32_t>(raw == 0));
  }
}

inline double log_of(double x, bool subnormal) {
  const std::uint64_t raw = __builtin_bit_cast(std::uint64_t, subnormal ? x * 0x1p64 : x);
  const std::uint64_t shifted = raw + (0x3FF0000000000000u - 0x3FE6A09E667F3BCDu);
  const double exponent =
      static_cast<double>(static_cast<std::int64_t>(shifted >> 52) - 1023 - (subnormal ? 64 : 0));
  const double m = __builtin_bit_cast(double, (shifted & 0xFFFFFFFFFFFFFu) + 0x3FE6A09E667F3BCDu);
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double series = 1.0 / 23;
  for (int term = 21; term >= 3; term -= 2) series = series * z + 1.0 / term;
  const double log_m = 2.0 * s + 2.0 * s * (series * z);
  return exponent * 0x1.62e42fefa3800p-1 + (exponent * 0x1.ef35793c76730p-45 + log_m);
}

inline double exp_of(double x) {
  if (x > 710) return __builtin_inf();
  if (x < -746) return 0;
  const double scaled = x * 0x1.71547652b82fep+0;
  const int n = static_cast<int>(scaled + (scaled < 0 ? -0.5 : 0.5));
  const double r = (x - n * 0x1.62e42fefa3800p-1) - n * 0x1.ef35793c76730p-45;
  double sum = 1;
  for (int term = 14; term >= 1; --term) sum = 1.0 + sum * r / term;
  const int half = n / 2;
  const std::uint64_t one = 1023, low = static_cast<std::uint64_t>(half) + one,
                      high = static_cast<std::uint64_t>(n - half) + one;
  return sum * __builtin_bit_cast(double, low << 52) * __builtin_bit_cast(double, high << 52);
}

void power(const double* values, std::size_t n, double exponent, double* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const double x = values[i];
    if (x != x || x == 0) {
      out[i] = x == 0 ? 0 : x;
    } else if (exponent == 0) {
      out[i] = 1;
    } else if (x > 0x1.fffffffffffffp1023) {
      out[i] = exponent > 0 ? x : 0;
    } else {
      out[i] = exp_of(exponent * log_of(x, x < 0x1p-1022));
    }
  }
}

}  // namespace

extern const DrawKernels draw_kernels;
const DrawKernels draw_kernels = {survey, rates, race, power};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
