// A log sorted into blocks of rows: the half of a fold that every rank does for its own log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/buffer.h"
#include "core/columns.h"
#include "core/observations.h"

namespace dynsample {

constexpr std::size_t kThreadRecords = 1 << 17;  // not worth another thread

inline std::uint32_t row_mask(int shift) {
  return static_cast<std::uint32_t>((std::uint64_t{1} << shift) - 1);
}

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

// The layout for a fold of `observations` by themselves, of rows below `num_rows` and of the
// signals that `columns` observe.
Layout layout_of(const Observations& observations, std::size_t num_rows,
                 std::span<const Column> columns, bool tickets);

// Throws std::invalid_argument when there are not as many tickets as observations, or one is above
// 2^32 - 1.
void check_tickets(std::span<const std::int64_t> tickets, std::size_t num_observations);

// Sorts the observations into blocks of rows, in call order within a block, and leaves those with a
// ticket below zero out (without tickets: a span of no address, none). Records of block b:
// [starts[b], starts[b + 1]). Throws as `check_tickets`, and std::invalid_argument when bits do
// not fit.
std::vector<std::size_t> pack(const Observations& observations, std::size_t num_rows,
                              const Layout& layout, std::span<const std::int64_t> tickets,
                              Buffer<std::uint32_t>& records);

}  // namespace dynsample
