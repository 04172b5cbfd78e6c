// The fold of observations that lie in device memory; see core/fold.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/columns.h"
#include "cuda/no_row.h"
#include "cuda/stream.h"

namespace dynsample::cuda {

// Observations by ascending row, those of a row in the order in which they are given.
struct Sorted {
  const std::uint32_t* rows;    // kNoRow, of what was refused, comes last
  const std::uint32_t* places;  // where each was before
  std::size_t size;
};

// Sorts by (row, key), stable; null keys: by row. Writes size rows and places.
void sort_rows(const std::uint32_t* rows, const std::uint32_t* keys, std::size_t size, int row_bits,
               std::uint32_t* sorted_rows, std::uint32_t* places, Scratch& scratch, Stream stream);

// Observations and what was issued to this rank, both sorted by row: the j-th observation of a row
// is of its j-th issue. accepted[i] is 0 for those beyond the issues of their row, which *unknown
// counts but for kNoRow, and for those of a padded row, whose ticket is kNoTicket. Tickets are
// those of the issues by their places; null for both: they do not matter, and nothing was padded.
constexpr std::uint32_t kNoTicket = 0xFFFFFFFFu;
void match(Sorted observed, Sorted issued, const std::uint32_t* issued_tickets,
           std::uint8_t* accepted, std::uint32_t* tickets, std::uint32_t* unknown, Stream stream);

// Applies the accepted observations (null: all) to a column, value j being values[places[j]], and
// `first_row` the row of the column's first entry. Whoever is not kNoRow must be in the column.
void apply(const ColumnRule& column, const float* values, Sorted sorted,
           const std::uint8_t* accepted, std::uint32_t first_row, Stream stream);

// Sets seen[row] of the accepted.
void mark_seen(Sorted sorted, const std::uint8_t* accepted, std::uint32_t first_row,
               std::uint8_t* seen, Stream stream);

}  // namespace dynsample::cuda
