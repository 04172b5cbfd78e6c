#include "core/gather.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "core/chunks.h"
#include "core/system.h"

namespace dynsample {
namespace {

constexpr std::size_t kProbes = 16;            // with a tenth of the rows absent, 4 in 5 notice
constexpr std::size_t kChunkBytes = 1u << 19;  // some 0.1 ms of one thread
constexpr std::size_t kAhead = 4, kLines = 4;  // rows, and lines of each, fetched before the copy
constexpr std::size_t kLine = 64;

void check(std::size_t num_rows, std::span<const std::int64_t> index) {
  for (const std::int64_t row : index) {
    if (row < 0 || static_cast<std::size_t>(row) >= num_rows) {
      throw std::out_of_range("index must hold rows in [0, " + std::to_string(num_rows) +
                              "), got " + std::to_string(row));
    }
  }
}

const std::byte* row_of(const MappedRows& column, std::int64_t row) {
  return column.rows + static_cast<std::size_t>(row) * column.row_bytes;
}

bool all_in_memory(const MappedRows& column, std::span<const std::int64_t> index) {
  const std::size_t step = std::max<std::size_t>(1, index.size() / kProbes);
  for (std::size_t j = 0; j < index.size(); j += step) {
    if (!in_memory(row_of(column, index[j]))) return false;
  }
  return true;
}

void ask_for(const MappedRows& column, std::span<const std::int64_t> index) {
  for (const std::int64_t row : index) will_need(row_of(column, row), column.row_bytes);
}

void prefetch(const std::byte* row, std::size_t bytes) {
#if defined(__GNUC__)
  for (std::size_t at = 0; at < std::min(bytes, kLines * kLine); at += kLine) {
    __builtin_prefetch(row + at);
  }
#endif
}

void copy(const MappedRows& column, std::span<const std::int64_t> index, std::size_t begin,
          std::size_t end, std::byte* out) {
  const std::size_t bytes = column.row_bytes;
  for (std::size_t j = begin; j < end; ++j) {
    if (j + kAhead < end) prefetch(row_of(column, index[j + kAhead]), bytes);
    std::memcpy(out + j * bytes, row_of(column, index[j]), bytes);
  }
}

}  // namespace

void gather_rows(std::span<const MappedRows> columns, std::size_t num_rows,
                 std::span<const std::int64_t> index, std::span<std::byte* const> outs) {
  check(num_rows, index);
  for (const MappedRows& column : columns) {
    if (!all_in_memory(column, index)) ask_for(column, index);
  }
  std::size_t row_bytes = 1;
  for (const MappedRows& column : columns) row_bytes += column.row_bytes;
  Chunks(index.size(), std::max<std::size_t>(1, kChunkBytes / row_bytes))
      .run([&](std::size_t, std::size_t begin, std::size_t end) {
        for (std::size_t c = 0; c < columns.size(); ++c) {
          copy(columns[c], index, begin, end, outs[c]);
        }
      });
}

void read_ahead(std::span<const MappedRows> columns, std::size_t num_rows,
                std::span<const std::int64_t> index) {
  check(num_rows, index);
  for (const MappedRows& column : columns) ask_for(column, index);
}

}  // namespace dynsample
