// The spread of the values in a window.
#pragma once

#include <cmath>
#include <cstddef>

#include "core/random.h"  // DYNSAMPLE_HOST_DEVICE

namespace dynsample {

// 10 * standard deviation (ddof = 1) of a window; in double, two passes, slots in their order.
// `size` is at least 2 (He et al., "Large-scale Dataset Pruning with Dynamic Uncertainty", 2023,
// equation 2).
template <class T>
DYNSAMPLE_HOST_DEVICE double uncertainty(const T* window, std::size_t size) {
  double total = 0;
  for (std::size_t slot = 0; slot < size; ++slot) total += static_cast<double>(window[slot]);
  const double mean = total / static_cast<double>(size);
  double squares = 0;
  for (std::size_t slot = 0; slot < size; ++slot) {
    const double off = static_cast<double>(window[slot]) - mean;
    squares += off * off;
  }
  return 10.0 * std::sqrt(squares / static_cast<double>(size - 1));
}

}  // namespace dynsample
