#include "core/isa/draw.h"

#include "core/isa/isa.h"
#include "core/race_key.h"
#include "core/rate.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

Survey survey(const float* p, std::size_t n) {
  constexpr std::size_t kBlock = 1024;  // counts of a block fit 32 bits
  std::uint32_t largest = 0, negative = 0;
  std::size_t positive = 0;
  for (std::size_t first = 0; first < n; first += kBlock) {
    const std::size_t last = n - first < kBlock ? n : first + kBlock;
    std::uint32_t zeros = 0;
    for (std::size_t i = first; i < last; ++i) {
      const RowSurvey row = survey_row(float_bits(p[i]));
      largest = row.finite > largest ? row.finite : largest;
      zeros += row.zero;
      negative |= row.negative;
    }
    positive += last - first - zeros;
  }
  return {float_of_bits(largest), positive, negative != 0};
}

void rates(const float* p, std::size_t n, float substitute, double scale, std::uint64_t* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = rate_of(p[i], substitute, scale);
}

void race(const float* p, const std::uint32_t* words, std::size_t n, float substitute,
          std::uint32_t* out) {
  const std::uint32_t instead = float_bits(substitute);
  for (std::size_t i = 0; i < n; ++i) out[i] = race_key(float_bits(p[i]), words[i], instead);
}

void equal_race(const std::uint8_t* where, const std::uint32_t* words, std::size_t n,
                std::uint32_t* out) {
  if (where) {
    for (std::size_t i = 0; i < n; ++i) out[i] = ~words[i] | (0u - std::uint32_t{where[i] == 0});
  } else {
    for (std::size_t i = 0; i < n; ++i) out[i] = ~words[i];
  }
}

void power(const double* values, std::size_t n, Exponent exponent, double* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = power_of(values[i], exponent);
}

void exp(const float* values, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(exp_or_nan(values[i]));
}

template <class TakesPart>
void bins_of(const float* values, std::size_t n, CdfRange range, std::uint32_t* out,
             const TakesPart& takes_part) {
  for (std::size_t i = 0; i < n; ++i) {
    const bool finite = is_finite_bits(float_bits(values[i]));
    const std::uint32_t mask = 0u - std::uint32_t{finite};
    const std::uint32_t bin = range.bin(choose_float(mask, values[i], range.low));
    out[i] = finite & takes_part(i) ? bin : kCdfBins;
  }
}

void bins(const float* values, const std::uint8_t* where, std::size_t n, CdfRange range,
          std::uint32_t* out) {
  if (where) {
    bins_of(values, n, range, out, [where](std::size_t i) { return where[i] != 0; });
  } else {
    bins_of(values, n, range, out, [](std::size_t) { return true; });
  }
}

PassRateCounts informative(const float* rates, std::size_t n, const PassRateCurve& curve,
                           float* out) {
  constexpr std::size_t kBlock = 1024;  // counts of a block fit 32 bits
  const float target = curve.target, width = curve.width, eps = curve.eps;
  const float best = curve.gaussian ? 1.0f : 0.25f;
  const std::uint32_t one = float_bits(1.0f), retire = float_bits(curve.retire);
  PassRateCounts total = {0, 0, 0};
  for (std::size_t first = 0; first < n; first += kBlock) {
    const std::size_t last = n - first < kBlock ? n : first + kBlock;
    if (curve.gaussian) {
      for (std::size_t i = first; i < last; ++i) {
        const float far = (rates[i] - target) / width;
        out[i] = static_cast<float>(exp_or_nan(far * far * -0.5f));
      }
    } else {
      for (std::size_t i = first; i < last; ++i) out[i] = rates[i] * (1.0f - rates[i]);
    }
    std::uint32_t outside = 0, retired = 0, positive = 0;
    for (std::size_t i = first; i < last; ++i) {
      const std::uint32_t bits = float_bits(rates[i]), magnitude = bits & 0x7FFFFFFFu;
      const std::uint32_t known = (bits <= one) | (bits == 0x80000000u);  // in [0, 1], -0 as well
      const std::uint32_t over = known & (magnitude >= retire);
      const float all = choose_float(0u - known, out[i], best) + eps;
      const std::uint32_t given = float_bits(all) & (over - 1u);
      outside += ~known & is_finite_bits(bits);
      retired += over;
      positive += given << 1 != 0;
      out[i] = float_of_bits(given);
    }
    total.outside += outside;
    total.retired += retired;
    total.positive += positive;
  }
  return total;
}

}  // namespace

extern const DrawKernels draw_kernels;
const DrawKernels draw_kernels = {survey, rates, race, equal_race, power, exp, bins, informative};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
