#include "core/gather.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "core/buffer.h"
#include "core/chunks.h"
#include "core/snapshot.h"
#include "core/system.h"

namespace dynsample {
namespace {

constexpr std::size_t kProbes = 8;  // when a quarter of the rows is absent, 9 in 10 batches notice
constexpr std::size_t kChunkBytes = 1u << 22;  // about a millisecond of one thread
constexpr std::size_t kAhead = 8, kLines = 4;  // rows, and lines of each, fetched before the copy
constexpr std::size_t kLine = 64;

// Rows that are in range, in memory that does not change.
Buffer<std::int64_t> checked(std::size_t num_rows, std::span<const std::int64_t> index) {
  Buffer<std::int64_t> rows = snapshot(index.data(), index.size());
  for (const std::int64_t row : rows) {
    if (row < 0 || static_cast<std::size_t>(row) >= num_rows) {
      throw std::out_of_range("index must hold rows in [0, " + std::to_string(num_rows) +
                              "), got " + std::to_string(row));
    }
  }
  return rows;
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

// Rows of a width that is known here are copied without a call: views are many and narrow.
template <std::size_t kBytes>
void copy_narrow(const MappedRows& column, std::span<const std::int64_t> index, std::size_t begin,
                 std::size_t end, std::byte* out) {
  for (std::size_t j = begin; j < end; ++j) {
    std::memcpy(out + j * kBytes, column.rows + static_cast<std::size_t>(index[j]) * kBytes,
                kBytes);
  }
}

void copy_wide(const MappedRows& column, std::span<const std::int64_t> index, std::size_t begin,
               std::size_t end, std::byte* out) {
  const std::size_t bytes = column.row_bytes;
  for (std::size_t j = begin; j < end; ++j) {
    if (j + kAhead < end) prefetch(row_of(column, index[j + kAhead]), bytes);
    std::memcpy(out + j * bytes, row_of(column, index[j]), bytes);
  }
}

void copy(const MappedRows& column, std::span<const std::int64_t> index, std::size_t begin,
          std::size_t end, std::byte* out) {
  switch (column.row_bytes) {
    case 1:
      return copy_narrow<1>(column, index, begin, end, out);
    case 4:
      return copy_narrow<4>(column, index, begin, end, out);
    case 8:
      return copy_narrow<8>(column, index, begin, end, out);
    case 16:
      return copy_narrow<16>(column, index, begin, end, out);
    default:
      return copy_wide(column, index, begin, end, out);
  }
}

}  // namespace

void gather_rows(std::span<const MappedRows> columns, std::size_t num_rows,
                 std::span<const std::int64_t> given, std::span<std::byte* const> outs) {
  const Buffer<std::int64_t> index = checked(num_rows, given);
  std::size_t row_bytes = 1;
  const MappedRows* widest = nullptr;
  for (const MappedRows& column : columns) {
    row_bytes += column.row_bytes;
    if (!widest || column.row_bytes > widest->row_bytes) widest = &column;
  }
  if (widest && !all_in_memory(*widest, index)) {
    for (const MappedRows& column : columns) ask_for(column, index);
  }
  Chunks(index.size(), std::max<std::size_t>(1, kChunkBytes / row_bytes))
      .run([&](std::size_t, std::size_t begin, std::size_t end) {
        for (std::size_t c = 0; c < columns.size(); ++c) {
          copy(columns[c], index, begin, end, outs[c]);
        }
      });
}

void read_ahead(std::span<const MappedRows> columns, std::size_t num_rows,
                std::span<const std::int64_t> given) {
  const Buffer<std::int64_t> index = checked(num_rows, given);
  for (const MappedRows& column : columns) ask_for(column, index);
}

}  // namespace dynsample
