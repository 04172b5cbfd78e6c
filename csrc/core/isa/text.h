// Numbers in the form of recorded probabilities; see core/text.h.
#pragma once

#include <cstddef>

namespace dynsample {

// Bytes of a line as "%.18e\n" writes a number below 10 and above 1e-99.
constexpr std::size_t kScientificLine = 25;

struct TextKernels {
  // Reads numbers off lines of that length, as long as they are so written, none is 10 or more or
  // below 1e-9, and their rounding is plain; returns how many of `lines` those are.
  std::size_t (*scientific)(const char* text, std::size_t lines, double* out);
};

}  // namespace dynsample
