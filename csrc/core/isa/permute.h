// Vectorised keyed permutation; see core/permute.h for the definition.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/permute.h"

namespace dynsample {

struct PermuteKernels {
  // out[j] = value at position first + j, or ids[that value] where ids is given.
  void (*forward)(const Permutation& p, const std::uint32_t* ids, std::uint32_t first,
                  std::size_t count, std::int64_t* out);
  // out[j] = position of values[j].
  void (*backward)(const Permutation& p, const std::int64_t* values, std::size_t count,
                   std::int64_t* out);
};

}  // namespace dynsample
