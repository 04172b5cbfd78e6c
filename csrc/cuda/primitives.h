// Sorting and sums of whole arrays: CUB's on a GPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/stream.h"

namespace dynsample::cuda {

// Sorts pairs by the low `bits` bits of their keys; equal keys keep their order.
void sort_pairs(const std::uint32_t* keys, std::uint32_t* sorted_keys, const std::uint32_t* values,
                std::uint32_t* sorted_values, std::size_t size, int bits, Scratch& scratch,
                Stream stream);

// sums[i] = values[0] + ... + values[i].
void inclusive_sum(const std::uint64_t* values, std::uint64_t* sums, std::size_t size,
                   Scratch& scratch, Stream stream);
void inclusive_sum(const std::uint32_t* values, std::uint64_t* sums, std::size_t size,
                   Scratch& scratch, Stream stream);

// Writes the numbers i < size with (mask[i] != 0) != invert, ascending; *count is device memory.
void select_ids(const std::uint8_t* mask, bool invert, std::size_t size, std::uint32_t* ids,
                std::uint32_t* count, Scratch& scratch, Stream stream);

}  // namespace dynsample::cuda
