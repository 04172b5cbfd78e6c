// What a draw must know of all probabilities; see core/draw.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/no_row.h"
#include "cuda/stream.h"

namespace dynsample::cuda {

struct Survey {
  std::uint64_t positive;        // neither 0 nor -0
  std::uint32_t first_negative;  // the first row below 0, kNoRow when there is none
  float largest;                 // of the finite ones, 0 when none is positive
};

// Of `size` < 2^32 - 1 probabilities; waits for the stream.
Survey survey(const float* p, std::size_t size, Scratch& scratch, Stream stream);

// Adds the rows to the sums[256] by exponent; `substitute` stands for p that is not finite.
void exponent_sums(const float* p, std::size_t size, float substitute, std::uint64_t* sums,
                   Stream stream);

}  // namespace dynsample::cuda
