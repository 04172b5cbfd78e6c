// Selection of the k lowest-scoring rows in device memory; see core/select.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/rows.h"
#include "cuda/stream.h"

namespace dynsample::cuda {

// mask[i] = 1 for the k eligible rows with the lowest (order_key(score), row), all of the eligible
// when there are no more than k; else 0. The same set as on the CPU. `mask` is
// aligned to 4 bytes and has room for rows.size rounded up to 4.
//
// A sample of the keys brackets the k-th; one read settles the rows outside of the bracket and
// lists those inside, a few percent, among which the rest is decided. When that fails, because the
// sample misled or too many rows share a score, the range that holds the k-th is narrowed by
// counting over all rows. Waits for the stream, to learn which.
void hide_lowest(const Rows& rows, std::size_t k, std::uint8_t* mask, Scratch& scratch,
                 Stream stream);

// The rows of that sample, of so many in all; none when there are few. For tests, which make them
// mislead.
std::vector<std::int64_t> sampled_rows(std::size_t rows);

// mask[i] = key of row i is below `key`, or equal to it and among the first `ties` such rows.
// `equal` is the number of rows with `key`, which must take part; `mask` is as above.
void mark(const Rows& rows, std::uint32_t key, std::uint32_t equal, std::uint32_t ties,
          std::uint8_t* mask, Scratch& scratch, Stream stream);

}  // namespace dynsample::cuda
