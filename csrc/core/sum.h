// Sums that do not depend on the order of their terms, and extremes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/isa/sum.h"
#include "core/rows.h"

namespace dynsample {

// The rows that take part, added exactly: integers only, so that the result is the same for every
// order, split and instruction set. Two of them merge by adding all their integers, over ranks too
// (each stays below 2^63 for up to 2^31 merged sums of 2^32 rows each).
WindowSums exact_sum(const Rows& rows);

void merge(WindowSums& into, const WindowSums& other);

// The sum, correctly rounded to double: to nearest, ties to even, as of math.fsum. NaN when there
// was one or infinities of both signs; an infinity when there was one. 0 for no rows.
double rounded(const WindowSums& sums);

// Rows that were added, finite or not.
std::int64_t count(const WindowSums& sums);

struct Extremes {
  float low, high;
};

// Lowest and highest of the rows that take part; both NaN when there is none, or a NaN among them.
Extremes min_max(const Rows& rows);

}  // namespace dynsample
