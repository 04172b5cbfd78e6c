// A sample of rows whose order statistics bracket that of all rows; for the CPU and the GPU.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/random.h"  // DYNSAMPLE_HOST_DEVICE

namespace dynsample {

// Positions spread over [0, n), one in each of `count` <= n equal strides, at a place that a
// multiplicative hash picks, so that no period in the data lines up with them.
class Positions {
 public:
  Positions(std::size_t n, std::size_t count) : step_((std::uint64_t{n} << 32) / count) {}

  DYNSAMPLE_HOST_DEVICE std::size_t operator[](std::size_t j) const {
    const std::uint64_t hash = j * 0x9E3779B97F4A7C15u >> 32;
    return (j * step_ + hash * (step_ >> 32)) >> 32;  // in 32.32 fixed point, without a division
  }

 private:
  std::uint64_t step_;
};

struct Ranks {
  std::size_t low, high;  // from 1
};

// Ranks in a sample of `size` keys between which the k-th of n keys lies, unless it is so many
// standard deviations away; with a little more room for small samples.
inline Ranks bracket(std::size_t size, std::size_t k, std::size_t n, double deviations) {
  const double share = static_cast<double>(k) / static_cast<double>(n);
  const double middle = share * static_cast<double>(size);
  const double margin = deviations * std::sqrt(middle * (1.0 - share)) + 2.0;
  const auto rank = [&](double wanted) {
    return static_cast<std::size_t>(std::clamp(wanted, 1.0, static_cast<double>(size)));
  };
  return {rank(middle - margin), rank(middle + margin)};
}

}  // namespace dynsample
