// The rows of a score column that take part in a selection or a reduction.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dynsample {

struct Rows {
  const float* values;
  const std::uint8_t* where;  // rows with a zero byte are left out; null: none is
  bool finite_only;           // NaN and the infinities are left out too
  std::size_t size;           // at most 2^32 - 1

  // For a selection by ready keys, instead of all but the size: rows of key 2^32 - 1 are left out.
  const std::uint32_t* keys = nullptr;
};

// Throws std::invalid_argument when there are more rows than a uint32 can number.
void check_num_rows(std::size_t size);

}  // namespace dynsample
