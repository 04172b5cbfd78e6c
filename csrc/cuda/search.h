// The search for the threshold of a selection: its state in device memory, and the kernels that
// narrow it down. A row's place in the order is one number, its key above its row number, so that
// no two rows have the same; the rows to hide are those with a place below the threshold.
#pragma once

#include "cuda/narrow.h"
#include "cuda/row_reader.h"

namespace dynsample::cuda {

constexpr std::uint32_t kFew = 4096;         // places that are not worth a round of counting
constexpr std::uint32_t kSettled = 1 << 14;  // places that one block settles

// What a search knows: a range of places that holds the threshold, and where it can be read.
enum Status : std::uint32_t { kInRows, kInList, kMissed, kDone };

struct Search {
  Range range;
  Status status;
  std::uint32_t below;   // places that a bracket's read found below it
  std::uint32_t listed;  // places that are in the list
  std::uint32_t filled;  // places that are left to one block
  unsigned arrived;
};

// Places of all rows. Rows compare with a range by their keys first, in 32 bits.
struct AllRows {
  static constexpr Status kNeeds = kInRows;
  static constexpr unsigned kTile = RowReader::kTile;
  RowReader reader;
  unsigned row_bits;

  DYNSAMPLE_DEVICE std::size_t size(const Search&) const { return reader.size(); }
  DYNSAMPLE_HOST_DEVICE std::uint64_t place(std::uint32_t key, std::size_t i) const {
    return std::uint64_t{key} << row_bits | i;
  }
  DYNSAMPLE_DEVICE std::uint64_t at(std::size_t first, unsigned thread, unsigned j) const {
    const std::size_t i = RowReader::row(first, thread, j);
    return place(reader.key_of(reader.word(i)), i);
  }

  // Writes whether the places of a tile are below the range, four bytes at a time: a last few may
  // be beyond the rows. Returns those inside, as bits.
  DYNSAMPLE_DEVICE std::uint32_t split(std::size_t first, unsigned thread, std::size_t size,
                                       const Range& range, std::uint8_t* mask,
                                       std::uint32_t& below) const {
    const auto low = static_cast<std::uint32_t>(range.low >> row_bits);
    const auto high = static_cast<std::uint32_t>((range.low + range.span) >> row_bits);
    const std::uint32_t start = reader.first_key();
    const RowReader::Held held = reader.load(first, thread);
    std::uint32_t inside = 0;
    DYNSAMPLE_UNROLL
    for (unsigned q = 0; q < RowReader::kPerThread / 4; ++q) {
      std::uint32_t flags = 0;
      DYNSAMPLE_UNROLL
      for (unsigned r = 0; r < 4; ++r) {
        const std::uint32_t key = reader.key(held, 4 * q + r);
        flags |= key - start < low - start ? 1u << 8 * r : 0;
        inside |= key - low <= high - low ? 1u << (4 * q + r) : 0;
      }
      below += count_bits(flags);
      const std::size_t i = RowReader::row(first, thread, 4 * q);
      if (i < size) *reinterpret_cast<RowReader::Word*>(mask + i) = flags;
    }
    inside &= held.present;
    const std::uint64_t last_row = ~std::uint64_t{0} >> (64 - row_bits);
    if (range.low == place(low, 0) && range.low + range.span == place(high, last_row)) {
      return inside;
    }
    for (std::uint32_t left = inside; left; left &= left - 1) {
      const unsigned j = lowest_bit(left);
      const std::uint64_t c = at(first, thread, j);
      if (range.has(c)) continue;
      inside ^= 1u << j;
      if (c > range.low) continue;
      mask[RowReader::row(first, thread, j)] = 1;
      ++below;
    }
    return inside;
  }

  template <class Body>
  DYNSAMPLE_DEVICE void visit(std::size_t first, unsigned thread, std::size_t,
                              const Body& body) const {
    const RowReader::Held held = reader.load(first, thread);
    DYNSAMPLE_UNROLL
    for (unsigned j = 0; j < RowReader::kPerThread; ++j) {
      const std::uint32_t key = reader.counted_key(held, j);
      if (key != kNotEligibleKey) body(place(key, RowReader::row(first, thread, j)), j);
    }
  }
};

// Places that an earlier read listed; the mask of their rows is 0 until they are found below.
struct Listed {
  static constexpr Status kNeeds = kInList;
  static constexpr unsigned kPerThread = 4, kTile = RowReader::kThreads * kPerThread;
  const std::uint64_t* places;
  unsigned row_bits;

  DYNSAMPLE_DEVICE std::size_t size(const Search& search) const { return search.listed; }
  DYNSAMPLE_DEVICE std::uint64_t at(std::size_t first, unsigned thread, unsigned j) const {
    return places[first + j * RowReader::kThreads + thread];
  }

  DYNSAMPLE_DEVICE std::uint32_t split(std::size_t first, unsigned thread, std::size_t size,
                                       const Range& range, std::uint8_t* mask,
                                       std::uint32_t&) const {
    const std::uint64_t last_row = ~std::uint64_t{0} >> (64 - row_bits);
    std::uint32_t inside = 0;
    visit(first, thread, size, [&](std::uint64_t c, unsigned j) {
      if (c < range.low) mask[c & last_row] = 1;
      inside |= range.has(c) ? 1u << j : 0;
    });
    return inside;
  }

  template <class Body>
  DYNSAMPLE_DEVICE void visit(std::size_t first, unsigned thread, std::size_t size,
                              const Body& body) const {
    std::uint64_t held[kPerThread];
    DYNSAMPLE_UNROLL
    for (unsigned j = 0; j < kPerThread; ++j) {
      const std::size_t i = first + j * RowReader::kThreads + thread;
      held[j] = i < size ? places[i] : 0;
    }
    DYNSAMPLE_UNROLL
    for (unsigned j = 0; j < kPerThread; ++j) {
      if (first + j * RowReader::kThreads + thread < size) body(held[j], j);
    }
  }
};

// Counts the places in the range by digit; the last block picks the digit to go on with.
template <class Source>
struct CountDigits {
  static constexpr int kThreads = RowReader::kThreads;
  struct Shared {
    std::uint32_t counts[kDigits];
    Picking picking;
    bool last;
  };
  Source source;
  Search* search;
  std::uint32_t* counts;  // kDigits zeros, left so

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    Shared& shared = block.shared;
    const Range range = search->range;
    if (search->status != Source::kNeeds || range.count <= kFew) return;
    const std::size_t size = source.size(*search),
                      step = std::size_t{block.count()} * Source::kTile;
    clear(block, kThreads, shared.counts);
    block.each([&](unsigned thread) {
      for (std::size_t first = std::size_t{block.index()} * Source::kTile; first < size;
           first += step) {
        source.visit(first, thread, size, [&](std::uint64_t c, unsigned) {
          if (range.has(c)) atomic_add(&shared.counts[range.digit(c)], 1u);
        });
      }
    });
    block.each([&](unsigned thread) {
      for (unsigned d = thread; d < kDigits; d += kThreads) {
        if (shared.counts[d]) atomic_add(&counts[d], shared.counts[d]);
      }
    });
    if (!last_block(block, &search->arrived, shared.last)) return;
    block.each([&](unsigned thread) {
      for (unsigned d = thread; d < kDigits; d += kThreads) {
        shared.counts[d] = counts[d];
        counts[d] = 0;
      }
    });
    pick(block, shared.counts, range, shared.picking);
    block.each([&](unsigned thread) {
      if (thread) return;
      Range found = shared.picking.found;
      found.close_if_decided();
      search->range = found;
    });
  }
};

// Writes the mask of the places below the range and copies those inside to `out`, in any order; the
// last block goes on with `Then`.
template <class Source, class Then>
struct Split {
  static constexpr int kThreads = RowReader::kThreads;
  struct Shared {
    std::uint32_t inside, base, below;
    bool last;
    typename Then::Shared then;
  };
  struct Found {
    std::uint32_t inside, at, below;
  };
  Source source;
  Search* search;
  std::uint8_t* mask;
  std::uint64_t* out;
  std::uint32_t capacity;  // of `out`; what is beyond is counted only
  Then then;

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    Shared& shared = block.shared;
    if (search->status != Source::kNeeds || !then.ready(*search)) return;
    const Range range = search->range;
    const std::size_t size = source.size(*search),
                      step = std::size_t{block.count()} * Source::kTile;
    typename Block::template PerThread<Found> found;
    block.each([&](unsigned thread) {
      found[thread].below = 0;
      if (thread == 0) shared.inside = shared.below = 0;
    });
    for (std::size_t first = std::size_t{block.index()} * Source::kTile; first < size;
         first += step) {
      block.each([&](unsigned thread) {
        Found& mine = found[thread];
        mine.inside = source.split(first, thread, size, range, mask, mine.below);
        if (mine.inside) mine.at = atomic_add(&shared.inside, count_bits(mine.inside));
      });
      block.each([&](unsigned thread) {
        if (thread) return;
        shared.base = atomic_add(&search->filled, shared.inside);
        shared.inside = 0;
      });
      block.each([&](unsigned thread) {
        std::uint32_t to = shared.base + found[thread].at;
        for (std::uint32_t left = found[thread].inside; left; left &= left - 1, ++to) {
          if (to < capacity) out[to] = source.at(first, thread, lowest_bit(left));
        }
      });
    }
    block.each([&](unsigned thread) {
      if (found[thread].below) atomic_add(&shared.below, found[thread].below);
    });
    block.each([&](unsigned thread) {
      if (thread == 0 && shared.below) atomic_add(&search->below, shared.below);
    });
    if (last_block(block, &search->arrived, shared.last)) then(block, shared.then, *this);
  }
};

// Among the few places that a split left, finds the threshold, and marks those below.
struct Settle {
  struct Shared {
    std::uint32_t counts[kDigits];
    Picking picking;
  };

  DYNSAMPLE_DEVICE bool ready(const Search& search) const { return search.range.count <= kSettled; }

  template <class Block, class Kernel>
  DYNSAMPLE_DEVICE void operator()(Block& block, Shared& shared, const Kernel& split) const {
    constexpr unsigned kThreads = Kernel::kThreads;
    Search& search = *split.search;
    Range range = search.range;
    const std::uint32_t filled = search.filled;
    const Listed few{split.out, split.source.row_bits};
    range.count = filled;
    if (range.wanted > filled) range.wanted = filled;
    range.close_if_decided();
    while (range.wanted) {
      clear(block, kThreads, shared.counts);
      block.each([&](unsigned thread) {
        for (std::size_t first = 0; first < filled; first += Listed::kTile) {
          few.visit(first, thread, filled, [&](std::uint64_t c, unsigned) {
            if (range.has(c)) atomic_add(&shared.counts[range.digit(c)], 1u);
          });
        }
      });
      pick(block, shared.counts, range, shared.picking);
      range = shared.picking.found;
      range.close_if_decided();
    }
    block.each([&](unsigned thread) {
      std::uint32_t below = 0;
      for (std::size_t first = 0; first < filled; first += Listed::kTile) {
        few.split(first, thread, filled, range, split.mask, below);
      }
      if (thread == 0) search.status = kDone;
    });
  }
};

}  // namespace dynsample::cuda
