#include "core/rate.h"
#include "cuda/row_reader.h"
#include "cuda/survey.h"

namespace dynsample::cuda {
namespace {

struct Found {
  std::uint64_t positive;
  std::uint32_t first_negative;
  std::uint32_t largest;  // by its bits
};

RowReader reader_of(const float* p, std::size_t size) {
  return RowReader(Rows{p, nullptr, false, size, nullptr});
}

struct SurveyRows {
  static constexpr int kThreads = RowReader::kThreads;
  struct Shared {
    std::uint32_t positive, largest;
  };
  RowReader reader;
  Found* found;

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    auto& shared = block.shared;
    block.each([&](unsigned thread) {
      if (thread == 0) shared.positive = shared.largest = 0;
    });
    block.each([&](unsigned thread) {
      std::uint32_t positive = 0, largest = 0, negative = kNoRow;
      reader.tiles(block, thread, [&](std::size_t first, const RowReader::Held& held) {
        DYNSAMPLE_UNROLL
        for (unsigned j = 0; j < RowReader::kPerThread; ++j) {
          // An absent row is a 0: neither positive nor negative.
          const RowSurvey row = survey_row(held.present >> j & 1 ? held.word[j] : 0);
          positive += 1 - row.zero;
          largest = row.finite > largest ? row.finite : largest;
          if (row.negative && negative == kNoRow) {  // rows j ascend
            negative = static_cast<std::uint32_t>(RowReader::row(first, thread, j));
          }
        }
      });
      atomic_add(&shared.positive, positive);
      atomic_max(&shared.largest, largest);
      if (negative != kNoRow) atomic_min(&found->first_negative, negative);
    });
    block.each([&](unsigned thread) {
      if (thread) return;
      atomic_add(&found->positive, std::uint64_t{shared.positive});
      atomic_max(&found->largest, shared.largest);
    });
  }
};

// Shared memory adds 32-bit numbers fast, so the 24 bits of a row go to a lower and an upper sum.
// Most rows have one of few exponents: copies keep the threads of a warp out of each other's way.
struct ExponentSums {
  static constexpr int kThreads = RowReader::kThreads, kCopies = 8, kHalf = 12;
  static constexpr std::size_t kTile = RowReader::kTile;
  static constexpr std::size_t kMostTiles = (std::size_t{1} << (32 - kHalf)) / kTile;
  struct Shared {
    std::uint32_t lower[256 * kCopies], upper[256 * kCopies];
  };
  RowReader reader;
  float substitute;
  std::uint64_t* sums;

  template <class Block>
  DYNSAMPLE_DEVICE void clear(Block& block) const {
    block.each([&](unsigned thread) {
      for (unsigned i = thread; i < 256 * kCopies; i += kThreads) {
        block.shared.lower[i] = block.shared.upper[i] = 0;
      }
    });
  }

  template <class Block>
  DYNSAMPLE_DEVICE void add_up(Block& block) const {
    block.each([&](unsigned exponent) {
      std::uint64_t sum = 0;
      for (unsigned i = exponent * kCopies; i < (exponent + 1) * kCopies; ++i) {
        sum += block.shared.lower[i] + (std::uint64_t{block.shared.upper[i]} << kHalf);
      }
      if (sum) atomic_add(&sums[exponent], sum);
    });
  }

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    static_assert(kThreads == 256, "a thread for each exponent");
    const std::size_t size = reader.size();
    std::size_t tiles = 0;
    clear(block);
    for (std::size_t tile = block.index() * kTile; tile < size; tile += block.count() * kTile) {
      if (tiles++ == kMostTiles) {
        add_up(block);
        clear(block);
        tiles = 1;
      }
      block.each([&](unsigned thread) {
        const RowReader::Held held = reader.load(tile, thread);
        DYNSAMPLE_UNROLL
        for (unsigned j = 0; j < RowReader::kPerThread; ++j) {
          if (!(held.present >> j & 1)) continue;
          const ProbabilityUnits row = units_of(float_of_bits(held.word[j]), substitute);
          const unsigned at = row.exponent * kCopies + thread % kCopies;
          atomic_add(&block.shared.lower[at], row.units & ((1u << kHalf) - 1));
          atomic_add(&block.shared.upper[at], row.units >> kHalf);
        }
      });
    }
    add_up(block);
  }
};

}  // namespace

Survey survey(const float* p, std::size_t size, Scratch& scratch, Stream stream) {
  if (!size) return {0, kNoRow, 0};
  auto* const found = scratch.array<Found>(1);
  fill_bytes(found, 0, sizeof *found, stream);
  fill_bytes(&found->first_negative, 0xFF, sizeof found->first_negative, stream);
  const RowReader reader = reader_of(p, size);
  launch("a survey", SurveyRows{reader, found}, reader.blocks(stream), stream);
  const Found result = fetch(found, stream);
  return {result.positive, result.first_negative, float_of_bits(result.largest)};
}

void exponent_sums(const float* p, std::size_t size, float substitute, std::uint64_t* sums,
                   Stream stream) {
  if (!size) return;
  launch("sums by exponent", ExponentSums{reader_of(p, size), substitute, sums},
         blocks_for(size, ExponentSums::kTile, stream), stream);
}

}  // namespace dynsample::cuda
