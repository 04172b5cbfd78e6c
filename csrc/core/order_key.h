// The total order of scores as unsigned integers, shared by the CPU and the GPU.
#pragma once

#include <cstdint>

#include "core/random.h"  // DYNSAMPLE_HOST_DEVICE

namespace dynsample {

constexpr std::uint32_t kInfinityBits = 0x7F800000u;
constexpr std::uint32_t kNanKey = 0xFFC00000u;          // above that of +inf, 0xFF800000
constexpr std::uint32_t kNotEligibleKey = 0xFFFFFFFFu;  // no score has it

// Key of the float32 with these bits: a < b exactly if key(a) < key(b), -0 equals +0, and every NaN
// has the one key kNanKey, the highest. The sign and magnitude become a two's complement number,
// where both zeros are 0, moved up by 2^31. Integers only: the answer must not depend on whether
// somebody made the processor flush denormals.
DYNSAMPLE_HOST_DEVICE inline std::uint32_t order_key(std::uint32_t bits) {
  const std::uint32_t magnitude = bits & 0x7FFFFFFFu;
  const std::uint32_t sign = 0u - (bits >> 31);
  const std::uint32_t key = 0x80000000u + ((magnitude ^ sign) - sign);
  return magnitude > kInfinityBits ? kNanKey : key;
}

// Bits of the float32 with this key; +0 for the key of the zeros, a quiet NaN for kNanKey.
DYNSAMPLE_HOST_DEVICE inline std::uint32_t order_bits(std::uint32_t key) {
  return key >= 0x80000000u ? key - 0x80000000u : 0u - key;
}

DYNSAMPLE_HOST_DEVICE inline bool is_finite_bits(std::uint32_t bits) {
  return (bits & kInfinityBits) != kInfinityBits;
}

}  // namespace dynsample
