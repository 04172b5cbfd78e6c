#include <algorithm>

#include "cuda/launch.h"
#include "cuda/row_reader.h"
#include "cuda/sum.h"

namespace dynsample::cuda {
namespace {

// A thread adds its 16 rows of a tile by window in a register, then to sums of its own in shared
// memory: no atomics, whatever the windows. A term is below 2^(24 + 31), so 16 fit a register, and
// in halves of 32 bits, a sum takes those of 2^31 tiles.
struct AddRows {
  static constexpr int kThreads = RowReader::kThreads;
  struct Shared {
    std::int64_t high[kWindows][kThreads], low[kWindows][kThreads];
    std::uint32_t finite, nan, positive_infinity, negative_infinity;
  };
  RowReader reader;
  bool finite_only;
  WindowSums* sums;

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    Shared& shared = block.shared;
    block.each([&](unsigned thread) {
      for (int w = 0; w < kWindows; ++w) shared.high[w][thread] = shared.low[w][thread] = 0;
      if (thread) return;
      shared.finite = shared.nan = shared.positive_infinity = shared.negative_infinity = 0;
    });
    block.each([&](unsigned thread) {
      std::uint32_t finite = 0;
      reader.tiles(block, thread, [&](std::size_t first, RowReader::Held held) {
        const std::uint32_t special = take_specials(held);
        finite += count_bits(held.present);
        if (special && !finite_only) count_specials(shared, first, thread, special);
        add(shared, thread, held);
      });
      if (finite) atomic_add(&shared.finite, finite);
    });
    for (unsigned half = kThreads / 2; half; half /= 2) {
      block.each([&](unsigned thread) {
        for (unsigned j = thread; j < kWindows * half; j += kThreads) {
          const unsigned w = j / half, t = j % half;
          shared.high[w][t] += shared.high[w][t + half];
          shared.low[w][t] += shared.low[w][t + half];
        }
      });
    }
    block.each([&](unsigned thread) {
      if (thread < kWindows) {
        give(&sums->high[thread], shared.high[thread][0]);
        give(&sums->low[thread], shared.low[thread][0]);
      }
      if (thread) return;
      give(&sums->finite, shared.finite);
      give(&sums->nan, shared.nan);
      give(&sums->positive_infinity, shared.positive_infinity);
      give(&sums->negative_infinity, shared.negative_infinity);
    });
  }

 private:
  // Makes absent rows and those that are not finite 0; returns which of those present were not.
  DYNSAMPLE_DEVICE static std::uint32_t take_specials(RowReader::Held& held) {
    std::uint32_t special = 0;
    DYNSAMPLE_UNROLL
    for (unsigned j = 0; j < RowReader::kPerThread; ++j) {
      special |= is_finite_bits(held.word[j]) ? 0 : 1u << j;
    }
    special &= held.present;
    held.present ^= special;
    DYNSAMPLE_UNROLL
    for (unsigned j = 0; j < RowReader::kPerThread; ++j) {
      held.word[j] = held.present >> j & 1 ? held.word[j] : 0;
    }
    return special;
  }

  DYNSAMPLE_DEVICE void count_specials(Shared& shared, std::size_t first, unsigned thread,
                                       std::uint32_t special) const {
    for (; special; special &= special - 1) {
      const std::uint32_t bits = reader.word(RowReader::row(first, thread, lowest_bit(special)));
      const bool infinite = (bits & 0x7FFFFFFFu) == kInfinityBits;
      atomic_add(!infinite    ? &shared.nan
                 : bits >> 31 ? &shared.negative_infinity
                              : &shared.positive_infinity,
                 1u);
    }
  }

  DYNSAMPLE_DEVICE static void add(Shared& shared, unsigned thread, const RowReader::Held& held) {
    std::uint32_t windows = 0;
    DYNSAMPLE_UNROLL
    for (unsigned j = 0; j < RowReader::kPerThread; ++j) {
      const std::uint32_t bits = held.word[j];
      windows |= bits << 1 ? 1u << (sum_exponent(bits) >> 5) : 0;
    }
    for (; windows; windows &= windows - 1) {
      const unsigned window = lowest_bit(windows);
      std::int64_t sum = 0;
      DYNSAMPLE_UNROLL
      for (unsigned j = 0; j < RowReader::kPerThread; ++j) {
        const std::uint32_t bits = held.word[j], exponent = sum_exponent(bits);
        const std::uint32_t hidden_one = bits & kInfinityBits ? 0x800000u : 0;
        const auto mantissa = static_cast<std::int32_t>((bits & 0x7FFFFFu) | hidden_one);
        const std::int64_t term = bits >> 31 ? -mantissa : mantissa;
        const auto shifted = static_cast<std::uint64_t>(term) << (exponent & 31);
        sum += exponent >> 5 == window ? static_cast<std::int64_t>(shifted) : 0;
      }
      shared.high[window][thread] += sum >> 32;
      shared.low[window][thread] += sum & 0xFFFFFFFF;
    }
  }

  DYNSAMPLE_DEVICE static void give(std::int64_t* to, std::int64_t value) {
    if (value) atomic_add(to, value);
  }
};

// As unsigned numbers of which the lowest are wanted: what no block has written is all ones.
struct FindExtremes {
  static constexpr int kThreads = RowReader::kThreads;
  struct Shared {
    std::uint32_t low, high;
  };
  RowReader reader;
  KeyRange* found;  // the complement of the highest

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    Shared& shared = block.shared;
    block.each([&](unsigned thread) {
      if (thread == 0) shared.low = shared.high = kNotEligibleKey;
    });
    block.each([&](unsigned thread) {
      std::uint32_t low = kNotEligibleKey, high = kNotEligibleKey;
      reader.tiles(block, thread, [&](std::size_t, const RowReader::Held& held) {
        DYNSAMPLE_UNROLL
        for (unsigned j = 0; j < RowReader::kPerThread; ++j) {
          const std::uint32_t key = reader.counted_key(held, j);
          const std::uint32_t top = key == kNotEligibleKey ? key : ~key;
          low = key < low ? key : low;
          high = top < high ? top : high;
        }
      });
      atomic_min(&shared.low, low);
      atomic_min(&shared.high, high);
    });
    block.each([&](unsigned thread) {
      if (thread) return;
      atomic_min(&found->low, shared.low);
      atomic_min(&found->high, shared.high);
    });
  }
};

}  // namespace

void exact_sum(const Rows& rows, WindowSums* sums, Stream stream) {
  fill_bytes(sums, 0, sizeof *sums, stream);
  // As many blocks as fit a device at a time: each has thousands of sums to add up in the end.
  const unsigned most = std::max(busy_blocks(stream) / 2, 1u);
  launch("a sum", AddRows{RowReader(rows), rows.finite_only, sums},
         std::min(blocks_for(rows.size, RowReader::kTile, stream), most), stream);
}

KeyRange extremes(const Rows& rows, Scratch& scratch, Stream stream) {
  auto* const found = scratch.array<KeyRange>(1);
  fill_bytes(found, 0xFF, sizeof *found, stream);
  const RowReader reader(rows);
  launch("extremes", FindExtremes{reader, found}, reader.blocks(stream), stream);
  const KeyRange range = fetch(found, stream);
  return {range.low, ~range.high};
}

}  // namespace dynsample::cuda
