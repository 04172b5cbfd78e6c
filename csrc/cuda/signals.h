// Per-sample signals from a model's output, straight into the log; see dynsample/signals.py.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/log.h"
#include "cuda/number.h"
#include "cuda/stream.h"

namespace dynsample::cuda {

// Which signal of the log takes what; -1 for none.
struct Wanted {
  std::int32_t loss, correct, max_confidence, margin, el2n, l1, max_margin, sum_margin, probability;
  std::int32_t target_confidence;  // as probability is, under a second name
};

// Logits [count, classes], float32, float16 or bfloat16, whose rows are contiguous and `row_stride`
// numbers apart; targets int64 or int32, and NaN for those that are no class.
struct Output {
  const void* logits;
  Type type;
  std::int64_t row_stride;
  std::size_t count, classes;
  Numbers targets;
};

void load_signals(Stream stream);  // as load_append

// Writes where `append` of as many observations will put them; call that next.
void append_signals(const LogHeader* log, const Output& output, const Wanted& wanted,
                    Stream stream);

}  // namespace dynsample::cuda
