// The order of an epoch, and ids from masks and counts; see core/order.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/permute.h"
#include "cuda/stream.h"

namespace dynsample::cuda {

// out[i] = ids[p(first + i)] for the permutation p; null ids: p(first + i) itself.
void order_slice(const Permutation& permutation, const std::uint32_t* ids, std::uint32_t first,
                 std::size_t size, std::uint32_t* out, Stream stream);

// mask[p(first + i)] = 1 for i < size; nothing else is written.
void mark_slice(const Permutation& permutation, std::uint32_t first, std::size_t size,
                std::uint8_t* mask, Stream stream);

// Rows by position, each counts[row] times: until[row] is the inclusive sum of the counts.
void repeat_rows(const std::uint64_t* until, std::size_t num_rows, std::size_t size,
                 std::uint32_t* out, Stream stream);

}  // namespace dynsample::cuda
