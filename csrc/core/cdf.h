// The bins of core/bernoulli.h, on the CPU and the GPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/bits.h"
#include "core/order_key.h"

namespace dynsample {

constexpr std::uint32_t kCdfBins = 1000;

// The extremes of the values that take part.
struct CdfRange {
  float low, high;

  // The bin of a value from low to high.
  DYNSAMPLE_INLINE std::uint32_t bin(float value) const {
    const double z = (static_cast<double>(value) - low) / (static_cast<double>(high) - low);
    const auto found = static_cast<std::uint32_t>(static_cast<std::int32_t>(kCdfBins * z));
    return found < kCdfBins ? found : kCdfBins - 1;
  }
};

// Whether a row takes part; a null `where` leaves none out.
DYNSAMPLE_INLINE bool cdf_takes_part(const float* values, const std::uint8_t* where,
                                     std::size_t row) {
  return is_finite_bits(float_bits(values[row])) && (!where || where[row]);
}

}  // namespace dynsample
