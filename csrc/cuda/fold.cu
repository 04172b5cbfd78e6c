#include "cuda/fold.h"
#include "cuda/launch.h"
#include "cuda/primitives.h"

namespace dynsample::cuda {
namespace {

struct Number {
  std::uint32_t* out;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const { out[i] = static_cast<std::uint32_t>(i); }
};

struct Gather {
  const std::uint32_t* from;
  const std::uint32_t* places;
  std::uint32_t* out;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const { out[i] = from[places[i]]; }
};

// The thread of the first observation of a row goes over all of them: most rows have one.
DYNSAMPLE_DEVICE bool begins_row(const Sorted& sorted, std::size_t i) {
  return sorted.rows[i] != kNoRow && (i == 0 || sorted.rows[i - 1] != sorted.rows[i]);
}

struct Match {
  Sorted observed, issued;
  const std::uint32_t* issued_tickets;
  std::uint8_t* accepted;
  std::uint32_t* tickets;
  std::uint32_t* unknown;

  DYNSAMPLE_DEVICE std::size_t first_issue(std::uint32_t row) const {
    std::size_t low = 0, high = issued.size;
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (issued.rows[middle] < row) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    const std::uint32_t row = observed.rows[i];
    if (row == kNoRow) accepted[i] = 0;
    if (!begins_row(observed, i)) return;
    std::uint32_t beyond = 0;
    std::size_t issue = first_issue(row);
    for (std::size_t j = i; j < observed.size && observed.rows[j] == row; ++j, ++issue) {
      const bool known = issue < issued.size && issued.rows[issue] == row;
      beyond += !known;
      accepted[j] = known;
      if (!known || !issued_tickets) continue;
      tickets[j] = issued_tickets[issued.places[issue]];
      accepted[j] = tickets[j] != kNoTicket;
    }
    if (beyond) atomic_add(unknown, beyond);
  }
};

template <class Rule>
struct Apply {
  Rule rule;
  const float* values;
  Sorted sorted;
  const std::uint8_t* accepted;
  std::uint32_t first_row;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    if (!begins_row(sorted, i)) return;
    const std::uint32_t row = sorted.rows[i];
    for (std::size_t j = i; j < sorted.size && sorted.rows[j] == row; ++j) {
      if (!accepted || accepted[j]) rule.update(row - first_row, values[sorted.places[j]]);
    }
  }
};

struct MarkSeen {
  Sorted sorted;
  const std::uint8_t* accepted;
  std::uint32_t first_row;
  std::uint8_t* seen;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    if (!begins_row(sorted, i)) return;
    const std::uint32_t row = sorted.rows[i];
    for (std::size_t j = i; j < sorted.size && sorted.rows[j] == row; ++j) {
      if (accepted && !accepted[j]) continue;
      seen[row - first_row] = 1;
      return;
    }
  }
};

}  // namespace

void sort_rows(const std::uint32_t* rows, const std::uint32_t* keys, std::size_t size, int row_bits,
               std::uint32_t* sorted_rows, std::uint32_t* places, Scratch& scratch, Stream stream) {
  if (!size) return;
  auto* const numbers = scratch.array<std::uint32_t>(size);
  for_each("numbers", size, Number{numbers}, stream);
  if (!keys) {
    sort_pairs(rows, sorted_rows, numbers, places, size, row_bits, scratch, stream);
    return;
  }
  auto* const by_key = scratch.array<std::uint32_t>(size);
  auto* const sorted_keys = scratch.array<std::uint32_t>(size);
  sort_pairs(keys, sorted_keys, numbers, by_key, size, 32, scratch, stream);
  for_each("rows by key", size, Gather{rows, by_key, numbers}, stream);
  sort_pairs(numbers, sorted_rows, by_key, places, size, row_bits, scratch, stream);
}

void match(Sorted observed, Sorted issued, const std::uint32_t* issued_tickets,
           std::uint8_t* accepted, std::uint32_t* tickets, std::uint32_t* unknown, Stream stream) {
  for_each("the match of observations", observed.size,
           Match{observed, issued, issued_tickets, accepted, tickets, unknown}, stream);
}

void apply(const ColumnRule& column, const float* values, Sorted sorted,
           const std::uint8_t* accepted, std::uint32_t first_row, Stream stream) {
  std::visit(
      [&](const auto& rule) {
        using Rule = std::decay_t<decltype(rule)>;
        for_each("the fold", sorted.size, Apply<Rule>{rule, values, sorted, accepted, first_row},
                 stream);
      },
      column);
}

void mark_seen(Sorted sorted, const std::uint8_t* accepted, std::uint32_t first_row,
               std::uint8_t* seen, Stream stream) {
  for_each("the mark of seen rows", sorted.size, MarkSeen{sorted, accepted, first_row, seen},
           stream);
}

}  // namespace dynsample::cuda
