// Numbers of every type that a tensor may hold, as float32; half precision by its bits, so that no
// header of CUDA is needed and the host gives the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/random.h"  // DYNSAMPLE_HOST_DEVICE

namespace dynsample::cuda {

enum class Type : std::int32_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUInt8,  // and bool
};

// What one load takes.
struct __attribute__((may_alias, aligned(16))) Four {
  std::uint32_t word[4];
};

struct Half {
  std::uint16_t bits;
};
struct BFloat {
  std::uint16_t bits;
};

DYNSAMPLE_HOST_DEVICE inline float float_of_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class T>
DYNSAMPLE_HOST_DEVICE float to_float(T value) {
  return static_cast<float>(value);
}

// A NaN stays the one it was, as on a CPU: a GPU would make it another.
DYNSAMPLE_HOST_DEVICE inline float to_float(double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7FFFFFFFFFFFFFFFu) <= 0x7FF0000000000000u) return static_cast<float>(value);
  const auto sign = static_cast<std::uint32_t>(bits >> 32) & 0x80000000u;
  return float_of_bits(sign | 0x7FC00000u | (static_cast<std::uint32_t>(bits >> 29) & 0x3FFFFFu));
}

DYNSAMPLE_HOST_DEVICE inline float to_float(BFloat value) {
  return float_of_bits(std::uint32_t{value.bits} << 16);
}

DYNSAMPLE_HOST_DEVICE inline float to_float(Half value) {
  const std::uint32_t sign = (value.bits & 0x8000u) << 16;
  const std::uint32_t exponent = value.bits >> 10 & 31u, fraction = value.bits & 0x3FFu;
  if (exponent == 31) return float_of_bits(sign | 0x7F800000u | fraction << 13);
  if (exponent) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float denormal = static_cast<float>(fraction) * 5.9604644775390625e-8f;  // 2^-24: exact
  return sign ? -denormal : denormal;
}

// Numbers in memory, `stride` of them apart.
struct Numbers {
  const void* data;
  std::int64_t stride;
  Type type;

  template <class T>
  DYNSAMPLE_HOST_DEVICE T raw(std::size_t i) const {
    return static_cast<const T*>(data)[static_cast<std::int64_t>(i) * stride];
  }

  DYNSAMPLE_HOST_DEVICE float number(std::size_t i) const {
    switch (type) {
      case Type::kFloat32:
        return raw<float>(i);
      case Type::kFloat64:
        return to_float(raw<double>(i));
      case Type::kFloat16:
        return to_float(raw<Half>(i));
      case Type::kBFloat16:
        return to_float(raw<BFloat>(i));
      case Type::kInt8:
        return to_float(raw<std::int8_t>(i));
      case Type::kInt16:
        return to_float(raw<std::int16_t>(i));
      case Type::kInt32:
        return to_float(raw<std::int32_t>(i));
      case Type::kInt64:
        return to_float(raw<std::int64_t>(i));
      case Type::kUInt8:
        return to_float(raw<std::uint8_t>(i));
    }
    return 0;
  }

  // Of the types int64 and int32 only.
  DYNSAMPLE_HOST_DEVICE std::int64_t integer(std::size_t i) const {
    return type == Type::kInt64 ? raw<std::int64_t>(i) : raw<std::int32_t>(i);
  }
};

}  // namespace dynsample::cuda
