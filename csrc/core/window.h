// Scores of the values in a window: their spread, and how far they are from 1.
#pragma once

#include <cmath>
#include <cstddef>

#include "core/random.h"  // DYNSAMPLE_HOST_DEVICE

namespace dynsample {

struct Spread {
  double mean, deviation;
};

// Mean and standard deviation (ddof = 1) of a window; in double, two passes, slots in their order.
// `size` is at least 2.
template <class T>
DYNSAMPLE_HOST_DEVICE Spread spread(const T* window, std::size_t size) {
  double total = 0;
  for (std::size_t slot = 0; slot < size; ++slot) total += static_cast<double>(window[slot]);
  const double mean = total / static_cast<double>(size);
  double squares = 0;
  for (std::size_t slot = 0; slot < size; ++slot) {
    const double off = static_cast<double>(window[slot]) - mean;
    squares += off * off;
  }
  return {mean, std::sqrt(squares / static_cast<double>(size - 1))};
}

// He et al., "Large-scale Dataset Pruning with Dynamic Uncertainty", 2023, equation 2.
template <class T>
DYNSAMPLE_HOST_DEVICE double uncertainty(const T* window, std::size_t size) {
  return 10.0 * spread(window, size).deviation;
}

// Cho et al., "Lightweight Dataset Pruning without Full Training via Example Difficulty and
// Prediction Uncertainty", ICML 2025, with the factor of the published code.
template <class T>
DYNSAMPLE_HOST_DEVICE double dual(const T* window, std::size_t size) {
  const auto [mean, deviation] = spread(window, size);
  return 10.0 * deviation * (1.0 - mean);
}

}  // namespace dynsample
