// Exact order statistics in rounds: of a range that holds the wanted number, numbers are counted by
// their leading digit there, and the digit whose counts reach the wanted rank is the next range.
#pragma once

#include "cuda/launch.h"

namespace dynsample::cuda {

constexpr unsigned kDigitBits = 11, kDigits = 1u << kDigitBits;

// The numbers c with low <= c <= low + span.
struct Range {
  std::uint64_t low, span;
  std::uint32_t shift;   // c - low without so many low bits is a digit
  std::uint32_t wanted;  // the rank among them, from 1, that is looked for; 0: that of none
  std::uint32_t count;   // of them

  DYNSAMPLE_HOST_DEVICE bool has(std::uint64_t c) const { return c - low <= span; }
  DYNSAMPLE_HOST_DEVICE std::uint32_t digit(std::uint64_t c) const {
    return static_cast<std::uint32_t>((c - low) >> shift);
  }

  // When all of them are wanted, or none: the wanted are then those below `low`.
  DYNSAMPLE_HOST_DEVICE void close_if_decided() {
    if (wanted && wanted < count) return;
    if (wanted) low += span + 1;
    span = wanted = count = 0;
  }
};

DYNSAMPLE_HOST_DEVICE inline Range make_range(std::uint64_t low, std::uint64_t high,
                                              std::uint32_t wanted, std::uint32_t count) {
  Range range{low, high - low, 0, wanted, count};
  while (range.span >> range.shift >= kDigits) ++range.shift;
  return range;
}

// Shared memory of pick().
struct Picking {
  static constexpr unsigned kGroups = 128;
  std::uint32_t sums[2][kGroups];
  Range found;
};

template <class Block>
DYNSAMPLE_DEVICE void clear(Block& block, unsigned threads, std::uint32_t* counts) {
  block.each([&](unsigned thread) {
    for (unsigned d = thread; d < kDigits; d += threads) counts[d] = 0;
  });
}

// Leaves in shared.found the part of `range` by the digit that the wanted rank falls on; the last
// that is not empty, when there are fewer; `range` without a count when there are none.
// A block of at least kGroups threads; `counts` by digits may be in any memory.
template <class Block>
DYNSAMPLE_DEVICE void pick(Block& block, const std::uint32_t* counts, const Range range,
                           Picking& shared) {
  constexpr unsigned kGroups = Picking::kGroups, kPerGroup = kDigits / kGroups;
  block.each([&](unsigned thread) {
    if (thread >= kGroups) return;
    std::uint32_t sum = 0;
    for (unsigned j = 0; j < kPerGroup; ++j) {  // not from the same bank of memory as neighbours
      sum += counts[thread * kPerGroup + (j + thread) % kPerGroup];
    }
    shared.sums[0][thread] = sum;
  });
  unsigned from = 0;
  for (unsigned step = 1; step < kGroups; step *= 2, from ^= 1) {
    block.each([&](unsigned thread) {
      if (thread >= kGroups) return;
      const std::uint32_t other = thread >= step ? shared.sums[from][thread - step] : 0;
      shared.sums[from ^ 1][thread] = shared.sums[from][thread] + other;
    });
  }
  block.each([&](unsigned thread) {
    if (thread >= kGroups) return;
    const std::uint32_t* const until = shared.sums[from];
    const std::uint32_t total = until[kGroups - 1];
    const std::uint32_t wanted = range.wanted < total ? range.wanted : total;
    std::uint32_t before = thread ? until[thread - 1] : 0;
    if (thread == 0 && wanted == 0) {
      shared.found = range;
      shared.found.wanted = shared.found.count = 0;
    }
    if (wanted <= before || wanted > until[thread]) return;
    unsigned digit = thread * kPerGroup;
    while (wanted > before + counts[digit]) before += counts[digit++];
    const std::uint64_t skipped = std::uint64_t{digit} << range.shift;
    const std::uint64_t rest = range.span - skipped;
    const std::uint64_t span = (std::uint64_t{1} << range.shift) - 1;
    const std::uint32_t shift = range.shift > kDigitBits ? range.shift - kDigitBits : 0;
    shared.found = {range.low + skipped, span < rest ? span : rest, shift, wanted - before,
                    counts[digit]};
  });
}

}  // namespace dynsample::cuda
