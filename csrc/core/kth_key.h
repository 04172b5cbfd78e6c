// Exact order statistics of keys, and the sampling that makes them cheap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/buffer.h"

namespace dynsample {

using KeyBuffer = Buffer<std::uint32_t>;

// Room for `capacity` keys and the slack that the kernels need; not initialised.
KeyBuffer key_buffer(std::size_t capacity);

// Positions spread over [0, n), one in each of `count` <= n equal strides, at a place that a
// multiplicative hash picks, so that no period in the data lines up with them.
class Positions {
 public:
  Positions(std::size_t n, std::size_t count) : step_((std::uint64_t{n} << 32) / count) {}

  std::size_t operator[](std::size_t j) const {  // in 32.32 fixed point, without a division
    const std::uint64_t hash = j * 0x9E3779B97F4A7C15u >> 32;
    return (j * step_ + hash * (step_ >> 32)) >> 32;
  }

 private:
  std::uint64_t step_;
};

struct Ranks {
  std::size_t low, high;  // from 1
};

// Ranks in a sample of `size` keys between which the k-th of n keys lies, unless it is so many
// standard deviations away; with a little more room for small samples.
Ranks bracket(std::size_t size, std::size_t k, std::size_t n, double deviations);

// The k-th lowest of `keys`, k in [1, keys.size()].
std::uint32_t kth_key(std::span<const std::uint32_t> keys, std::size_t k);

}  // namespace dynsample
