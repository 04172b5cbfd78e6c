#include "core/sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/order_key.h"

namespace dynsample {
namespace {

// Two's complement in 32-bit digits, lowest first: the windows, and room for their carries.
using Digits = std::array<std::uint32_t, kWindows + 4>;

Digits digits(const WindowSums& sums) {
  Digits out{};
  __int128 carry = 0;
  for (int w = 0; w < static_cast<int>(out.size()); ++w) {
    if (w < kWindows) carry += sums.low[w];
    if (w > 0 && w <= kWindows) carry += sums.high[w - 1];
    out[w] = static_cast<std::uint32_t>(carry);
    carry >>= 32;
  }
  return out;
}

void negate(Digits& digits) {
  std::uint64_t carry = 1;
  for (std::uint32_t& digit : digits) {
    carry += static_cast<std::uint32_t>(~digit);
    digit = static_cast<std::uint32_t>(carry);
    carry >>= 32;
  }
}

// The 64 bits below the top one of `magnitude`, the top one included, and whether any lower is set.
double round_magnitude(const Digits& magnitude) {
  int top = static_cast<int>(magnitude.size()) - 1;
  while (top >= 0 && magnitude[top] == 0) --top;
  if (top < 0) return 0.0;
  const auto digit = [&](int w) { return w < 0 ? 0u : magnitude[w]; };
  const int shift = std::countl_zero(magnitude[top]);
  const std::uint64_t upper = std::uint64_t{digit(top)} << 32 | digit(top - 1);
  std::uint64_t word = upper << shift;
  if (shift) word |= digit(top - 2) >> (32 - shift);
  bool sticky = shift ? (digit(top - 2) << shift) != 0 : digit(top - 2) != 0;
  for (int w = top - 3; w >= 0; --w) sticky |= magnitude[w] != 0;
  // 53 bits stay. Half of the last one rounds to even; `sticky` breaks that tie upwards.
  const std::uint64_t rest = word & 0x7FF, half = 0x400;
  std::uint64_t mantissa = word >> 11;
  mantissa += rest > half || (rest == half && (sticky || (mantissa & 1)));
  return std::ldexp(static_cast<double>(mantissa),
                    32 * (top - 1) - shift + 11 - 150 - kWindowOffset);
}

}  // namespace

WindowSums exact_sum(const Rows& rows) {
  check_num_rows(rows.size);
  const Chunks chunks(rows.size);
  std::vector<WindowSums> parts(chunks.count());
  chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    kernels().sum.add(rows, first, last, &parts[chunk]);
  });
  WindowSums sums{};
  for (const WindowSums& part : parts) merge(sums, part);
  return sums;
}

void merge(WindowSums& into, const WindowSums& other) {
  for (int w = 0; w < kWindows; ++w) {
    into.high[w] += other.high[w];
    into.low[w] += other.low[w];
  }
  into.finite += other.finite;
  into.nan += other.nan;
  into.positive_infinity += other.positive_infinity;
  into.negative_infinity += other.negative_infinity;
}

double rounded(const WindowSums& sums) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (sums.nan || (sums.positive_infinity && sums.negative_infinity)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (sums.positive_infinity) return kInfinity;
  if (sums.negative_infinity) return -kInfinity;
  Digits magnitude = digits(sums);
  const bool negative = magnitude.back() >> 31;
  if (negative) negate(magnitude);
  const double value = round_magnitude(magnitude);
  return negative ? -value : value;
}

std::int64_t count(const WindowSums& sums) {
  return sums.finite + sums.nan + sums.positive_infinity + sums.negative_infinity;
}

Extremes min_max(const Rows& rows) {
  check_num_rows(rows.size);
  const Chunks chunks(rows.size);
  std::vector<KeyRange> parts(chunks.count(), KeyRange{kNotEligibleKey, 0});
  chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    parts[chunk] = kernels().sum.extremes(rows, first, last);
  });
  KeyRange all{kNotEligibleKey, 0};
  for (const KeyRange& part : parts) {
    all = {std::min(all.low, part.low), std::max(all.high, part.high)};
  }
  if (all.low == kNotEligibleKey || all.high == kNanKey) {
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    return {kNan, kNan};
  }
  return {std::bit_cast<float>(order_bits(all.low)), std::bit_cast<float>(order_bits(all.high))};
}

}  // namespace dynsample
