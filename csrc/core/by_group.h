// Rows in groups: the lowest of every group, how many there are, and their exact sums.
//
// The lowest of a group are found as in core/radix.h, in rounds of histograms whose counts add up
// over ranks: those of all groups in four reads, of 8 bits of the key each. Labels are the groups
// of the rows, numbers below that of the groups, which check_labels sees to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/kth_key.h"
#include "core/rows.h"
#include "core/sum.h"

namespace dynsample {

using Labels = std::span<const std::int32_t>;

constexpr unsigned kGroupDigitBits = 8;
constexpr std::size_t kGroupDigits = std::size_t{1} << kGroupDigitBits;

// Throws std::invalid_argument unless there are `rows` labels, all in [0, groups).
void check_labels(Labels labels, std::size_t rows, std::size_t groups);

// Keys of all rows, kNotEligibleKey for those that take no part.
void write_keys(const Rows& rows, std::span<std::uint32_t> keys);

// counts[g * kGroupDigits + d] = rows of group g whose key has the digit d at the place `round`, 0
// for the highest, and the digits prefixes[g] before it. `counts` has kGroupDigits for each prefix.
// Rows that take no part are left out of round 0; in others they have the highest of all keys.
void count_digits(std::span<const std::uint32_t> keys, Labels labels, unsigned round,
                  std::span<const std::uint32_t> prefixes, std::span<std::uint32_t> counts);

// The digit of the k-th key of a group, k from 1 and at most `total`, by the counts of all its
// digits: a lower one have `below` keys. The lowest digit for k = 0.
struct KthDigit {
  std::uint32_t digit;
  std::int64_t below, total;
};
KthDigit kth_digit(std::span<const std::uint32_t, kGroupDigits> counts, std::int64_t k);

// mask[i] = key of row i is less than below[g], or equal to equal[g] and among the first ties[g]
// such rows of its group g.
struct GroupBounds {
  std::span<const std::uint32_t> below, equal, ties;
};
void mark_by_group(std::span<const std::uint32_t> keys, Labels labels, const GroupBounds& bounds,
                   std::span<std::uint8_t> mask);

// Rows of each group that are set in `mask`; all, when that is empty.
std::vector<std::int64_t> count_by_group(std::span<const std::uint8_t> mask, Labels labels,
                                         std::size_t groups);

// exact_sum of the rows of each group.
std::vector<WindowSums> sums_by_group(const Rows& rows, Labels labels, std::size_t groups);

}  // namespace dynsample
