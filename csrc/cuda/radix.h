// Parts of a selection over rows that are spread over ranks; see core/radix.h.
#pragma once

#include <cstdint>

#include "core/rows.h"
#include "cuda/stream.h"

namespace dynsample::cuda {

// Counts, in device memory, of the upper halves of all keys, or of the lower halves of those with
// the upper half `*prefix`: 2^16 each.
void key_histogram(const Rows& rows, const std::uint32_t* prefix, std::uint32_t* counts,
                   Stream stream);

// Rows with a key below `key`, and equal to it. Waits for the stream.
struct Tally {
  std::uint32_t below, equal;
};

Tally tally(const Rows& rows, std::uint32_t key, Scratch& scratch, Stream stream);

}  // namespace dynsample::cuda
