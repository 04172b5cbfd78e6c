#include <algorithm>

#include "cuda/launch.h"
#include "cuda/radix.h"
#include "cuda/row_reader.h"

namespace dynsample::cuda {
namespace {

constexpr std::uint32_t kHalves = 1u << 16;

// Counts halves of keys in shared memory as far as they fit: a place there is taken by the first
// half that comes with its number modulo the places, usually a frequent one; the others count in
// device memory. Few distinct keys would otherwise queue up for their counts.
struct CountHalves {
  static constexpr int kThreads = RowReader::kThreads;
  static constexpr unsigned kPlaces = 4096;
  static constexpr std::uint32_t kFree = ~0u;
  struct Shared {
    std::uint32_t half[kPlaces], count[kPlaces];
  };
  RowReader reader;
  bool upper;
  std::uint32_t prefix;  // of the keys whose lower halves are counted
  std::uint32_t* counts;

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    Shared& shared = block.shared;
    block.each([&](unsigned thread) {
      for (unsigned p = thread; p < kPlaces; p += kThreads) shared.half[p] = kFree;
      for (unsigned p = thread; p < kPlaces; p += kThreads) shared.count[p] = 0;
    });
    block.each([&](unsigned thread) {
      reader.tiles(block, thread, [&](std::size_t first, const RowReader::Held& held) {
        DYNSAMPLE_UNROLL
        for (unsigned j = 0; j < RowReader::kPerThread; ++j) {
          const std::uint32_t key = reader.counted_key(held, j);
          if (RowReader::row(first, thread, j) >= reader.size()) continue;
          if (upper || key >> 16 == prefix) add(shared, upper ? key >> 16 : key & 0xFFFFu);
        }
      });
    });
    block.each([&](unsigned thread) {
      for (unsigned p = thread; p < kPlaces; p += kThreads) {
        if (shared.count[p]) atomic_add(&counts[shared.half[p]], shared.count[p]);
      }
    });
  }

 private:
  DYNSAMPLE_DEVICE void add(Shared& shared, std::uint32_t half) const {
    // The lower bits of an exponent and the upper ones of a mantissa; the sign moves by half.
    const std::uint32_t place = (half ^ half >> 15 << 11) % kPlaces;
    const std::uint32_t taken = atomic_cas(&shared.half[place], kFree, half);
    if (taken == kFree || taken == half) {
      atomic_add(&shared.count[place], 1u);
    } else {
      atomic_add(&counts[half], 1u);
    }
  }
};

struct CountRows {
  static constexpr int kThreads = RowReader::kThreads;
  struct Shared {
    std::uint32_t below, equal;
  };
  RowReader reader;
  std::uint32_t key;
  Tally* found;

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    Shared& shared = block.shared;
    block.each([&](unsigned thread) {
      if (thread == 0) shared.below = shared.equal = 0;
    });
    block.each([&](unsigned thread) {
      std::uint32_t below = 0, equal = 0;
      reader.tiles(block, thread, [&](std::size_t first, const RowReader::Held& held) {
        DYNSAMPLE_UNROLL
        for (unsigned j = 0; j < RowReader::kPerThread; ++j) {
          const std::uint32_t other = reader.counted_key(held, j);
          below += other < key;
          equal += other == key && RowReader::row(first, thread, j) < reader.size();
        }
      });
      if (below) atomic_add(&shared.below, below);
      if (equal) atomic_add(&shared.equal, equal);
    });
    block.each([&](unsigned thread) {
      if (thread) return;
      if (shared.below) atomic_add(&found->below, shared.below);
      if (shared.equal) atomic_add(&found->equal, shared.equal);
    });
  }
};

}  // namespace

void key_histogram(const Rows& rows, const std::uint32_t* prefix, std::uint32_t* counts,
                   Stream stream) {
  fill_bytes(counts, 0, kHalves * sizeof *counts, stream);
  // Half as many blocks as usual: each has thousands of counts to add up in the end.
  const unsigned most = std::max(busy_blocks(stream) / 2, 1u);
  launch("a histogram",
         CountHalves{RowReader(rows), prefix == nullptr, prefix ? *prefix : 0, counts},
         std::min(blocks_for(rows.size, RowReader::kTile, stream), most), stream);
}

Tally tally(const Rows& rows, std::uint32_t key, Scratch& scratch, Stream stream) {
  auto* const found = scratch.array<Tally>(1);
  fill_bytes(found, 0, sizeof *found, stream);
  const RowReader reader(rows);
  launch("a count", CountRows{reader, key, found}, reader.blocks(stream), stream);
  return fetch(found, stream);
}

}  // namespace dynsample::cuda
