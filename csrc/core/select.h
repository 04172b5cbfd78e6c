// Selection of the k lowest-scoring samples.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/made_keys.h"
#include "core/rows.h"

namespace dynsample {

// Sets hidden[i] = 1 for the k eligible rows with the lowest score (all of the eligible when there
// are no more than k), 0 elsewhere.
//
// Rows compare by (order_key(score), row), so the answer is one exact set: the same for every
// thread count, instruction set and device. A sample of the keys brackets the k-th; one read then
// settles the rows outside of the bracket and collects those inside, among which the rest is
// decided. A sample that misled costs time, never the answer. O(n) time, O(n^(2/3)) scratch. Throws
// std::invalid_argument when sizes differ, k > rows.size, or rows.size > 2^32 - 1.
void hide_lowest(const Rows& rows, std::size_t k, std::span<std::uint8_t> hidden);

// The same by keys that are made: twice for rows of the sample, once for the others, and stored
// only if the sample misled.
void hide_lowest(const MadeKeys& keys, std::size_t k, std::span<std::uint8_t> hidden);

// Sets mask[i] = 1 for the eligible rows whose score is less than `bound`, 0 elsewhere; none are
// less than NaN. Throws std::invalid_argument when sizes differ.
void below(const Rows& rows, float bound, std::span<std::uint8_t> mask);

// The rows whose keys are that sample, ascending; none when there are few rows. They depend on
// where the rows lie in memory. For tests, which make them mislead.
std::vector<std::int64_t> sampled_rows(const Rows& rows);

}  // namespace dynsample
