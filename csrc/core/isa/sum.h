// Blocks of the exact sum and of the extremes; see core/sum.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/bits.h"
#include "core/order_key.h"
#include "core/rows.h"

namespace dynsample {

// Float32 exponents (1 to 254; subnormals count as 1) in windows of 32. The window boundaries lie
// at 2^-15 and 2^17, so that usual losses need one window.
constexpr int kWindows = 9;
constexpr int kWindowOffset = 16;

struct WindowSums {
  std::int64_t high[kWindows];  // sum of window w, in units of 2^(32 w - 166): high * 2^32 + low
  std::int64_t low[kWindows];
  std::int64_t finite, nan, positive_infinity, negative_infinity;  // counts
};

constexpr std::size_t kSumIntegers = sizeof(WindowSums) / sizeof(std::int64_t);

// Exponent of the float32 with these bits, which is finite, as the windows count it: its window is
// that / 32.
DYNSAMPLE_INLINE std::uint32_t sum_exponent(std::uint32_t bits) {
  const std::uint32_t field = bits >> 23 & 0xFFu;
  return field + (field == 0) + kWindowOffset;
}

// Its value in units of its window's `low`, below 2^(24 + 31) in size.
DYNSAMPLE_INLINE std::int64_t sum_term(std::uint32_t bits, std::uint32_t exponent) {
  const std::uint32_t hidden_one = (bits & kInfinityBits) != 0 ? 0x800000u : 0;
  const std::uint64_t mantissa = (bits & 0x7FFFFFu) | hidden_one;
  const std::int64_t term = static_cast<std::int64_t>(mantissa << (exponent & 31));
  const std::int64_t sign = -static_cast<std::int64_t>(bits >> 31);
  return (term ^ sign) - sign;
}

struct KeyRange {
  std::uint32_t low, high;  // 0xFFFFFFFF and 0 when no row takes part
};

struct SumKernels {
  // Adds rows [begin, end) to `sums`.
  void (*add)(const Rows& rows, std::size_t begin, std::size_t end, WindowSums* sums);
  KeyRange (*extremes)(const Rows& rows, std::size_t begin, std::size_t end);
};

}  // namespace dynsample
