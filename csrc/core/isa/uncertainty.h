// The uncertainty of windows side by side; see core/uncertainty.h.
#pragma once

#include <cstddef>

namespace dynsample {

struct UncertaintyKernels {
  // Adds to sum[i] the uncertainty of the window whose slot s is at window[s * stride + i], for i
  // in [0, rows).
  void (*add_floats)(const float* window, std::size_t stride, std::size_t size, std::size_t rows,
                     double* sum);
  void (*add_doubles)(const double* window, std::size_t stride, std::size_t size, std::size_t rows,
                      double* sum);
};

}  // namespace dynsample
