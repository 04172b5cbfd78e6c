// The fold: applying observations to the columns, in (row, ticket) order.
//
// It has two halves, between which observations may travel from one rank to another: pack() sorts a
// log into blocks of rows, fold() applies the blocks of one or several logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/buffer.h"
#include "core/columns.h"
#include "core/log.h"

namespace dynsample {

// An observation as a record of 32-bit words: the row within its block in the low `shift` bits of
// the first word, above them one bit for each signal that is 0 or 1 throughout; the ticket, if
// there are any; the other signals.
struct Layout {
  struct Signal {
    std::size_t number;  // in the log
    bool bit;
  };

  int shift;     // a block has 2^shift rows
  bool tickets;  // below 2^32
  std::vector<Signal> signals;

  std::size_t words() const;
};

// The layout for a fold of `log` by itself, of the signals that `columns` observe.
Layout layout_of(const ObservationLog& log, std::span<const Column> columns, bool tickets);

// Sorts the observations into blocks of rows, in call order within a block, and leaves those with a
// ticket below zero out (without tickets: a span of no address, none). Records of block b:
// [starts[b], starts[b + 1]). Throws std::invalid_argument when there are not as many tickets as
// observations, one is above 2^32 - 1, or bits do not fit.
std::vector<std::size_t> pack(ObservationLog& log, const Layout& layout,
                              std::span<const std::int64_t> tickets,
                              Buffer<std::uint32_t>& records);

// Consecutive blocks of one packed log.
struct Segment {
  const std::uint32_t* records;
  std::span<const std::size_t> starts;
};

// Applies the same blocks of some packed logs to the columns and marks their rows as seen; row 0 of
// the columns is row 0 of the first block.
//
// Observations of a row are applied by ascending ticket; without tickets, and for equal ones, in
// the order of the segments and in call order. The result does not depend on the number of threads.
void fold(std::span<const Segment> segments, const Layout& layout, std::span<const Column> columns,
          std::span<std::uint8_t> seen);

// Both halves. Tickets: none for a span of no address.
void fold(ObservationLog& log, std::span<const Column> columns, std::span<std::uint8_t> seen,
          std::span<const std::int64_t> tickets);

}  // namespace dynsample
