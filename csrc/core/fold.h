// The fold: applying observations to the columns, in (row, ticket) order.
//
// It has two halves, between which observations may travel from one rank to another: pack() sorts a
// log into blocks of rows, fold() applies the blocks of one or several logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/columns.h"
#include "core/log.h"
#include "core/pack.h"

namespace dynsample {

// Consecutive blocks of one packed log.
struct Segment {
  std::span<const std::uint32_t> records;
  std::span<const std::size_t> starts;
};

// Throws std::invalid_argument unless these are blocks of records of such a layout, in order, whose
// rows are all below `num_rows`: they may come from elsewhere.
void check_segment(const Segment& segment, const Layout& layout, std::size_t num_rows);

// Applies the same blocks of some packed logs to the columns and marks their rows as seen; row 0 of
// the columns is row 0 of the first block.
//
// Observations of a row are applied by ascending ticket; without tickets, and for equal ones, in
// the order of the segments and in call order. The result does not depend on the number of threads.
void fold(std::span<const Segment> segments, const Layout& layout, std::span<const Column> columns,
          std::span<std::uint8_t> seen);

// What is folded alike: the observations with a ticket of zero or more, into some columns. Tickets:
// one for each observation of the log, or none for a span of no address.
struct Portion {
  std::span<const Column> columns;
  std::span<const std::int64_t> tickets;
};

// Both halves, of the closed part of a log, which is then dropped: one portion after the other.
// When the arguments do not fit, nothing is written and nothing is dropped.
void fold(ObservationLog& log, std::span<const Portion> portions, std::span<std::uint8_t> seen);

}  // namespace dynsample
