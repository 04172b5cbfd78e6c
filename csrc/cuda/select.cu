#include <algorithm>

#include "core/sample.h"
#include "cuda/launch.h"
#include "cuda/search.h"
#include "cuda/select.h"

namespace dynsample::cuda {
namespace {

// Keys of a sample. With few, one block finds their order statistics in microseconds; with more,
// fewer rows fall inside the bracket, which pays when the read of all rows takes long.
constexpr std::size_t kSample = 1 << 14, kLargeSample = 1 << 17, kLarge = std::size_t{1} << 26;
constexpr double kDeviations = 3.5;  // odds of 1 in 2000 that one read is not enough

std::size_t keys_in_sample(std::size_t rows) { return rows < kLarge ? kSample : kLargeSample; }

unsigned bits_of(std::size_t size) {  // of row numbers
  unsigned bits = 1;
  while (bits < 32 && (size - 1) >> bits) ++bits;
  return bits;
}

// Starts a search, and clears the counts.
struct Open {
  Search start;
  Search* search;
  std::uint32_t* counts;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    if (i < kDigits) counts[i] = 0;
    if (i == 0) *search = start;
  }
};

struct TakeSample {
  Open open;
  RowReader reader;
  Positions positions;
  std::uint32_t* sample;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    sample[i] = reader.counted_key(positions[i]);
    open(i);
  }
};

// The range of places between two ranks of the sample, in one block.
struct Bracket {
  static constexpr int kThreads = 1024;
  struct Shared {
    std::uint32_t counts[2][kDigits];
    Picking picking;
    Range ranges[2];
  };
  const std::uint32_t* sample;
  std::size_t size;  // a multiple of kThreads * kAhead
  Ranks ranks;
  AllRows rows;
  Search* search;

  static constexpr unsigned kAhead = 8;  // keys that a thread fetches before it counts them

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    Shared& shared = block.shared;
    block.each([&](unsigned thread) {
      if (thread >= 2) return;
      const auto rank = static_cast<std::uint32_t>(thread ? ranks.high : ranks.low);
      shared.ranges[thread] = make_range(0, kNotEligibleKey, rank, 0);
    });
    for (unsigned bits = 0; bits < 32; bits += kDigitBits) {
      for (std::uint32_t* counts : shared.counts) clear(block, kThreads, counts);
      block.each([&](unsigned thread) { count(shared, thread); });
      for (unsigned side = 0; side < 2; ++side) {
        pick(block, shared.counts[side], shared.ranges[side], shared.picking);
        block.each([&](unsigned thread) {
          if (thread == 0) shared.ranges[side] = shared.picking.found;
        });
      }
    }
    block.each([&](unsigned thread) {
      if (thread) return;
      const std::uint32_t first = rows.reader.first_key(), last = rows.reader.last_key();
      const auto clip = [&](std::uint32_t key) {
        return key < first ? first : key > last ? last : key;
      };
      const auto key = [&](unsigned side) {
        return clip(static_cast<std::uint32_t>(shared.ranges[side].low));
      };
      const std::uint32_t low = ranks.low > 1 ? key(0) : first;
      const std::uint32_t high = ranks.high < size ? key(1) : last;
      const std::uint64_t last_row = (std::uint64_t{1} << rows.row_bits) - 1;
      search->range = make_range(rows.place(low, 0), rows.place(high, last_row), 0, 0);
    });
  }

 private:
  DYNSAMPLE_DEVICE void count(Shared& shared, unsigned thread) const {
    const Range low = shared.ranges[0], high = shared.ranges[1];
    for (std::size_t first = thread; first < size; first += kThreads * kAhead) {
      std::uint32_t keys[kAhead];
      DYNSAMPLE_UNROLL
      for (unsigned j = 0; j < kAhead; ++j) keys[j] = sample[first + j * kThreads];
      DYNSAMPLE_UNROLL
      for (unsigned j = 0; j < kAhead; ++j) {
        if (low.has(keys[j])) atomic_add(&shared.counts[0][low.digit(keys[j])], 1u);
        if (high.has(keys[j])) atomic_add(&shared.counts[1][high.digit(keys[j])], 1u);
      }
    }
  }
};

// After the read with a bracket: whether the threshold is in there, and all that is inside listed.
struct TakeStock {
  struct Shared {};
  std::uint32_t k;
  std::uint32_t last_key;

  DYNSAMPLE_DEVICE bool ready(const Search&) const { return true; }

  template <class Block, class Kernel>
  DYNSAMPLE_DEVICE void operator()(Block& block, Shared&, const Kernel& split) const {
    block.each([&](unsigned thread) {
      if (thread) return;
      Search& search = *split.search;
      Range range = search.range;
      const std::uint32_t below = search.below, inside = search.filled;
      const bool open = (range.low + range.span) >> split.source.row_bits == last_key;
      search.filled = 0;
      search.listed = inside;
      if (k <= below || (k - below > inside && !open)) {
        search.status = kMissed;
        return;
      }
      range.count = inside;
      range.wanted = k - below < inside ? k - below : inside;
      range.close_if_decided();
      search.range = range;
      search.status = inside <= split.capacity ? kInList : kInRows;
    });
  }
};

// Hides the rows below a threshold that is searched for.
class Selection {
 public:
  Selection(const Rows& rows, std::uint8_t* mask, Scratch& scratch, Stream stream)
      : all_{RowReader(rows), bits_of(rows.size)},
        mask_(mask),
        scratch_(scratch),
        stream_(stream),
        search_(scratch.array<Search>(1)),
        counts_(scratch.array<std::uint32_t>(kDigits)),
        few_(scratch.array<std::uint64_t>(kSettled)) {}

  void hide_lowest(std::uint32_t k) {
    const Range whole = make_range(all_.place(all_.reader.first_key(), 0),
                                   all_.place(all_.reader.last_key(), last_row()), k,
                                   static_cast<std::uint32_t>(size()));
    if (size() <= kSettled) return in_rows(whole);
    const Status found = by_sample(k);
    if (found == kMissed) return in_rows(whole);
    if (found == kInRows) count_rows();
  }

  void mark(std::uint32_t key, std::uint32_t equal, std::uint32_t ties) {
    const std::uint32_t first = all_.reader.first_key(), last = all_.reader.last_key();
    if (key < first || key > last) equal = ties = 0;
    key = key < first ? first : key > last ? last + 1 : key;
    Range range = make_range(all_.place(key, 0), all_.place(key, last_row()), ties, equal);
    range.close_if_decided();
    in_rows(range);
  }

 private:
  std::size_t size() const { return all_.reader.size(); }
  std::uint64_t last_row() const { return (std::uint64_t{1} << all_.row_bits) - 1; }
  Open open(const Range& range) const { return {{range, kInRows, 0, 0, 0, 0}, search_, counts_}; }
  Status status() const { return fetch(&search_->status, stream_); }

  Status by_sample(std::uint32_t k) {
    const std::size_t num_keys = keys_in_sample(size());
    const Ranks ranks = bracket(num_keys, k, size(), kDeviations);
    auto* const sample = scratch_.array<std::uint32_t>(num_keys);
    for_each("a sample", num_keys,
             TakeSample{open({}), all_.reader, Positions(size(), num_keys), sample}, stream_);
    launch("a bracket", Bracket{sample, num_keys, ranks, all_, search_}, 1, stream_);

    const double share = static_cast<double>(ranks.high - ranks.low + 1) / num_keys;
    const auto expected = static_cast<std::size_t>(share * static_cast<double>(size()));
    const std::size_t capacity = std::min(size(), 2 * expected + kSettled);
    auto* const list = scratch_.array<std::uint64_t>(capacity);
    const Listed listed{list, all_.row_bits};
    launch("a read of all rows",
           Split<AllRows, TakeStock>{all_,
                                     search_,
                                     mask_,
                                     list,
                                     static_cast<std::uint32_t>(capacity),
                                     {k, all_.reader.last_key()}},
           all_.reader.blocks(stream_), stream_);
    // One count leaves few enough, unless many of the listed rows share a score.
    const unsigned blocks = blocks_for(expected, Listed::kTile, stream_);
    count(listed, blocks);
    settle(listed, blocks);
    Status found = status();
    for (; found == kInList; found = status()) {
      for (int round = 0; round < 2; ++round) count(listed, blocks);
      settle(listed, blocks);
    }
    return found;
  }

  // From a range on whose count is known.
  void in_rows(const Range& range) {
    for_each("a search", kDigits, open(range), stream_);
    if (range.count <= kSettled) return settle(all_, all_.reader.blocks(stream_));
    count_rows();
  }

  void count_rows() {
    do {
      for (int round = 0; round < 2; ++round)
        count(all_, blocks_for(size(), AllRows::kTile, stream_));
      settle(all_, all_.reader.blocks(stream_));
    } while (status() != kDone);
  }

  template <class Source>
  void count(const Source& source, unsigned blocks) {
    launch("a count", CountDigits<Source>{source, search_, counts_}, blocks, stream_);
  }

  template <class Source>
  void settle(const Source& source, unsigned blocks) {
    launch("a selection", Split<Source, Settle>{source, search_, mask_, few_, kSettled, {}}, blocks,
           stream_);
  }

  const AllRows all_;
  std::uint8_t* const mask_;
  Scratch& scratch_;
  const Stream stream_;
  Search* const search_;
  std::uint32_t* const counts_;
  std::uint64_t* const few_;
};

}  // namespace

std::vector<std::int64_t> sampled_rows(std::size_t rows) {
  std::vector<std::int64_t> sampled;
  if (rows <= kSettled) return sampled;
  const std::size_t num_keys = keys_in_sample(rows);
  const Positions positions(rows, num_keys);
  for (std::size_t j = 0; j < num_keys; ++j) {
    sampled.push_back(static_cast<std::int64_t>(positions[j]));
  }
  return sampled;
}

void hide_lowest(const Rows& rows, std::size_t k, std::uint8_t* mask, Scratch& scratch,
                 Stream stream) {
  if (!rows.size) return;
  if (!k) return fill_bytes(mask, 0, rows.size, stream);
  Selection(rows, mask, scratch, stream).hide_lowest(static_cast<std::uint32_t>(k));
}

void mark(const Rows& rows, std::uint32_t key, std::uint32_t equal, std::uint32_t ties,
          std::uint8_t* mask, Scratch& scratch, Stream stream) {
  if (!rows.size) return;
  Selection(rows, mask, scratch, stream).mark(key, equal, std::min(ties, equal));
}

}  // namespace dynsample::cuda
