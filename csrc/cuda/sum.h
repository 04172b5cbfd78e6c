// Sums that do not depend on the order of their terms, and extremes, of rows in device memory; see
// core/sum.h.
#pragma once

#include "core/isa/sum.h"
#include "core/rows.h"
#include "cuda/stream.h"

namespace dynsample::cuda {

// The rows that take part, added exactly, to device memory. Integers, whose split into high and low
// may differ from that of the CPU; what they add up to does not.
void exact_sum(const Rows& rows, WindowSums* sums, Stream stream);

// Lowest and highest key of the rows that take part. Waits for the stream.
KeyRange extremes(const Rows& rows, Scratch& scratch, Stream stream);

}  // namespace dynsample::cuda
