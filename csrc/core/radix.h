// Exact selection in rounds of histograms: for rows that are spread over ranks, or whose sample
// misled. The counts of several ranks add up to those of all rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/chunks.h"
#include "core/isa/select.h"
#include "core/rows.h"

namespace dynsample {

constexpr std::size_t kDigits = 1u << 16;

// Rows that take part.
std::size_t count_eligible(const Rows& rows);

// Counts of the upper halves of the keys of all rows, those that take no part by the key 2^32 - 1,
// or of the lower halves of those with the upper half `prefix`.
std::vector<std::uint32_t> key_histogram(const Rows& rows, const std::uint32_t* prefix);

// Rows with a key below `key` and equal to it, by the chunks of rows that it was counted in: how
// rows are cut follows the number of threads, which can change before they are marked.
struct Tally {
  std::uint32_t key;
  Chunks chunks;
  std::vector<std::size_t> below, equal;

  Split total() const;
};

Tally tally(const Rows& rows, std::uint32_t key);

// hidden[i] = key of row i is below the key of `tally`, which is of these rows, or equal to it and
// among the first `ties` such rows.
void mark(const Rows& rows, const Tally& tally, std::size_t ties, std::uint8_t* hidden);

}  // namespace dynsample
