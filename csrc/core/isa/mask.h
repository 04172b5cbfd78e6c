// Set rows of a mask; see core/mask.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dynsample {

struct MaskKernels {
  // Bytes of mask[0, n) that are not zero.
  std::size_t (*count)(const std::uint8_t* mask, std::size_t n);
  // Rows of [begin, end) with a byte that is not zero (zero, if `invert`), ascending, to `ids`,
  // which has `capacity` places, as many as there are such rows. Returns how many were written:
  // another number when the mask changed since they were counted.
  std::size_t (*ids)(const std::uint8_t* mask, std::size_t begin, std::size_t end, bool invert,
                     std::uint32_t* ids, std::size_t capacity);
};

}  // namespace dynsample
