// The log of a training step: rows and signals in call order; see core/log.h. Nothing is copied to
// the host and nothing is allocated, so that a step can be captured in a CUDA graph.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/no_row.h"
#include "cuda/number.h"
#include "cuda/stream.h"

namespace dynsample::cuda {

// Where a log is and how much of it is used. It stays at its place in device memory while the log
// grows, and kernels reach all else through it: a captured step goes on with the new memory.
struct LogHeader {
  // Written by the kernels. "First" is the id that came first, of those that were refused.
  std::int64_t observed, out_of_range, first_out_of_range, not_allowed, first_not_allowed, lost;
  // Written by the host, between epochs.
  std::int64_t capacity;
  std::uint32_t* rows;
  float* values;               // signal s at s * capacity
  const std::int32_t* row_of;  // of num_ids, -1 for an id that is not there; null: an id is its row
  std::int64_t num_ids;
  const std::uint8_t* allowed;  // by row; null: all
};

// What the blocks of one append hand to the last of them; zeros between appends.
struct LogPending {
  struct Refused {
    std::uint32_t count, missing;
  };
  std::uint32_t arrived;
  Refused out_of_range, not_allowed;
};

// A log in device memory is a header with this behind it, of zeros at first.
constexpr std::size_t kLogBytes = sizeof(LogHeader) + (sizeof(LogPending) + 7) / 8 * 8;

constexpr int kMostSignals = 16;

// One batch: the ids, and for signal s of the log its values, or no data when they are there.
struct Observation {
  Numbers index;  // int64 or int32
  std::size_t count;
  Numbers signals[kMostSignals];
  int num_signals;
};

// Appends a batch. What does not fit is counted as lost; a refused id takes a place, and is counted
// and marked. Calls must be in order, on one stream or on several that wait for each other.
void append(LogHeader* log, const Observation& batch, Stream stream);

// Has the kernel ready, so that the first step does not wait for it to be loaded.
void load_append(Stream stream);

// A log of two memories: appends go to the open one, and what is read, matched and folded is in the
// closed one. A header leads to the open one; all else is here, on the host.
struct LogParts {
  int open = 0;                 // 0 or 1
  LogHeader closed = {};        // the counts of what is closed; `rows` and `values` mean nothing
  std::int64_t non_finite = 0;  // values of what is closed, NaN or infinite, of no refused row
  std::int64_t num_folded = 0;

  // Those that were not refused.
  std::int64_t num_closed() const {
    return closed.observed - closed.out_of_range - closed.not_allowed;
  }
  void drop(bool folded);
};

// One of the memories of a log.
struct LogMemory {
  std::int64_t capacity;
  std::uint32_t* rows;
  float* values;
};

// Puts what is open, in a memory for `capacity`, behind what is closed, of which `memory` is: when
// nothing is, the memories change places. Nothing is done when `memory` must be larger; gives what
// it must hold then, else 0. Waits for the stream, once when the memories change places.
std::int64_t close_log(LogHeader* log, LogParts& parts, std::int64_t capacity,
                       const LogMemory& memory, int num_signals, Scratch& scratch, Stream stream);

// Writes what the host writes of a header; gives what is there then. Waits for the stream.
LogHeader point_log(LogHeader* log, const LogHeader& content, Stream stream);

LogHeader read_log(const LogHeader* log, Stream stream);  // waits

// Sets all that kernels count to zero; waits for the stream.
void reset_log(LogHeader* log, Stream stream);

// Waits for what was given to any stream of the device.
void settle(Stream stream);

}  // namespace dynsample::cuda
