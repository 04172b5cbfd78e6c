// Vectorised Philox4x32-10; see core/random.h for the definition.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dynsample {

struct RandomKernels {
  // out[4 * j ... 4 * j + 3] = philox({index_j, epoch, stream}, seed), index_j = first + j, j <
  // blocks.
  void (*fill)(std::uint64_t seed, std::uint64_t first, std::uint32_t epoch, std::uint32_t stream,
               std::size_t blocks, std::uint32_t* out);
};

}  // namespace dynsample
