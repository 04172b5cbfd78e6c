// Blocks of the exact sum and of the extremes; see core/sum.h.
#pragma once

#include <cstddef>
#include <cstdint>

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

struct KeyRange {
  std::uint32_t low, high;  // 0xFFFFFFFF and 0 when no row takes part
};

struct SumKernels {
  // Adds rows [begin, end) to `sums`.
  void (*add)(const Rows& rows, std::size_t begin, std::size_t end, WindowSums* sums);
  KeyRange (*extremes)(const Rows& rows, std::size_t begin, std::size_t end);
};

}  // namespace dynsample
