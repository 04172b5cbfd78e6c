// Floating-point numbers and their bits, on the CPU and the GPU.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/random.h"  // DYNSAMPLE_HOST_DEVICE

// For arithmetic that the GPU and the kernels of core/isa share: it is always inlined, as a copy
// that was emitted with AVX code could run on a processor without (core/isa/isa.h).
#define DYNSAMPLE_INLINE DYNSAMPLE_HOST_DEVICE inline __attribute__((always_inline))

namespace dynsample {

DYNSAMPLE_INLINE std::uint32_t float_bits(float x) {
  std::uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

DYNSAMPLE_INLINE float float_of_bits(std::uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

DYNSAMPLE_INLINE std::uint64_t double_bits(double x) {
  std::uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

DYNSAMPLE_INLINE double double_of_bits(std::uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

}  // namespace dynsample
