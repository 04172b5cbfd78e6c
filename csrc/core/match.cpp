#include "core/match.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "core/buffer.h"

namespace dynsample {
namespace {

using Rows = std::span<const std::uint32_t>;

void check_rows(Rows rows, std::size_t num_rows) {
  const auto highest = std::ranges::max_element(rows);
  if (highest != rows.end() && *highest >= num_rows) {
    throw std::out_of_range("rows must be in [0, " + std::to_string(num_rows) + "), got " +
                            std::to_string(*highest));
  }
}

// How many observations from the first on are in the order of issue.
std::size_t in_order(Rows issued, Rows observed) {
  const auto found = std::ranges::mismatch(issued, observed);
  return static_cast<std::size_t>(found.in2 - observed.begin());
}

// One bit a row: it was issued, and was not observed yet.
bool each_once(Rows issued, Rows observed, std::size_t num_rows) {
  Buffer<std::uint64_t> open;
  open.assign((num_rows + 63) / 64, 0);
  for (const std::uint32_t row : issued) open[row / 64] |= std::uint64_t{1} << row % 64;
  std::uint64_t missed = 0;
  for (const std::uint32_t row : observed) {
    const std::uint64_t word = open[row / 64], bit = std::uint64_t{1} << row % 64;
    missed |= ~word & bit;
    open[row / 64] = word & ~bit;
  }
  return missed == 0;
}

// One count a row: how often it was issued and was not observed yet.
bool as_often(Rows issued, Rows observed, std::size_t num_rows) {
  Buffer<std::uint32_t> open;
  open.assign(num_rows, 0);
  for (const std::uint32_t row : issued) ++open[row];
  bool missed = false;
  for (const std::uint32_t row : observed) missed |= open[row]-- == 0;
  return !missed;
}

}  // namespace

bool all_issued(Rows issued, Rows observed, std::size_t num_rows, bool unique) {
  if (observed.size() > issued.size()) return false;
  const std::size_t begin = in_order(issued, observed);
  if (begin == observed.size()) return true;
  const Rows later = issued.subspan(begin), others = observed.subspan(begin);
  check_rows(later, num_rows);
  check_rows(others, num_rows);
  return unique ? each_once(later, others, num_rows) : as_often(later, others, num_rows);
}

std::size_t match(Rows issued, Rows observed, std::size_t num_rows,
                  std::span<std::int64_t> places) {
  if (places.size() != observed.size()) {
    throw std::invalid_argument("places must have one entry per observation");
  }
  if (issued.size() >= UINT32_MAX) throw std::length_error("more rows were issued than 2^32 - 2");
  check_rows(issued, num_rows);
  check_rows(observed, num_rows);
  // A list for each row of the places where it was issued; a place is one more than its number, and
  // 0 ends a list.
  Buffer<std::uint32_t> first, next(issued.size());
  first.assign(num_rows, 0);
  for (std::size_t i = issued.size(); i-- > 0;) {
    next[i] = first[issued[i]];
    first[issued[i]] = static_cast<std::uint32_t>(i + 1);
  }
  std::size_t unmatched = 0;
  for (std::size_t j = 0; j < observed.size(); ++j) {
    const std::uint32_t place = first[observed[j]];
    places[j] = std::int64_t{place} - 1;
    if (place == 0) {
      ++unmatched;
    } else {
      first[observed[j]] = next[place - 1];
    }
  }
  return unmatched;
}

}  // namespace dynsample
