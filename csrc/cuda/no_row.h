#pragma once

#include <cstdint>

namespace dynsample::cuda {

// Where a row would be and there is none: arrays have less than 2^32 - 1 rows.
constexpr std::uint32_t kNoRow = 0xFFFFFFFFu;

}  // namespace dynsample::cuda
