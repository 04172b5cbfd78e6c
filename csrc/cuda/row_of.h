// The row that a point lies in.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/random.h"  // DYNSAMPLE_HOST_DEVICE

namespace dynsample::cuda {

// The first row whose inclusive sum is above `point`, which is below the last sum.
DYNSAMPLE_HOST_DEVICE inline std::size_t row_of(const std::uint64_t* until, std::size_t num_rows,
                                                std::uint64_t point) {
  std::size_t low = 0, high = num_rows - 1;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (until[middle] > point) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace dynsample::cuda
