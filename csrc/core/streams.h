// What random numbers are for: the one table of streams, for Python (`_core.Stream`) and CUDA too.
#pragma once

#include <cstdint>

// X(constant, name in Python, number, use). Numbers are never given away again: a run's draws
// follow from them. The last row opens a range, which has no end; new streams come before it.
#define DYNSAMPLE_STREAMS(X)                                                          \
  X(kOrder, "ORDER", 0, "order of an epoch")                                          \
  X(kHiddenOrder, "HIDDEN_ORDER", 1, "order of the hidden samples")                   \
  X(kDraw, "DRAW", 2, "systematic draws with replacement")                            \
  X(kRace, "RACE", 3, "draws without replacement")                                    \
  X(kBernoulli, "BERNOULLI", 4, "one coin a sample")                                  \
  X(kTree, "TREE", 5, "prioritised replay")                                           \
  X(kPages, "PAGES", 6, "order of the pages of a PageLocal")                          \
  X(kDrawOrder, "DRAW_ORDER", 7, "order of what ops.draw drew")                       \
  X(kMultinomial, "MULTINOMIAL", 8, "independent draws with replacement")             \
  X(kWalk, "WALK", 16, "walk of a random subset without replacement")                 \
  X(kBatchSelection, "BATCH_SELECTION", 17, "selection within a batch")               \
  X(kCoreset, "CORESET", 32, "random coresets, and the order of equals in others")    \
  X(kReportSample, "REPORT_SAMPLE", 33, "ids of a report among those that came back") \
  X(kPartners, "PARTNERS", 34, "pairs of samples that payload.Views mixes")           \
  X(kPlanScores, "PLAN_SCORES", 35, "scores that dynsample plan makes up")            \
  X(kCoresetDraw, "CORESET_DRAW", 36, "coresets drawn by given probabilities")        \
  X(kPageWindows, "PAGE_WINDOWS", 1u << 16,                                           \
    "from here on two for each window of a PageLocal: its samples, "                  \
    "and its hidden ones")

namespace dynsample {

enum Stream : std::uint32_t {
#define DYNSAMPLE_STREAM(constant, name, number, use) constant = (number),
  DYNSAMPLE_STREAMS(DYNSAMPLE_STREAM)
#undef DYNSAMPLE_STREAM
};

constexpr bool streams_ascend() {
#define DYNSAMPLE_STREAM(constant, name, number, use) constant,
  const std::uint32_t numbers[] = {DYNSAMPLE_STREAMS(DYNSAMPLE_STREAM)};
#undef DYNSAMPLE_STREAM
  for (unsigned j = 1; j < sizeof numbers / sizeof *numbers; ++j) {
    if (numbers[j] <= numbers[j - 1]) return false;
  }
  return true;
}
static_assert(streams_ascend(), "two uses share a stream, or one is out of order");

}  // namespace dynsample
