// Rows of columns that lie in memory-mapped files: gathered by index, and asked for ahead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dynsample {

struct MappedRows {
  const std::byte* rows;
  std::size_t row_bytes;
};

// For every column c and every j, copies row index[j] of columns[c] to the j-th place of outs[c].
//
// Looks first at a few rows of the widest column; when one is not in memory, asks the system for
// all rows of all columns, so that a cold batch costs one wait and not one for every row. The rows
// of `index` must be in [0, num_rows) and every out has index.size() places; throws
// std::out_of_range for the first that is not, before anything is written. The same for every
// thread count.
void gather_rows(std::span<const MappedRows> columns, std::size_t num_rows,
                 std::span<const std::int64_t> index, std::span<std::byte* const> outs);

// Asks the system to read the rows of `index` in the background; waits for none.
void read_ahead(std::span<const MappedRows> columns, std::size_t num_rows,
                std::span<const std::int64_t> index);

}  // namespace dynsample
