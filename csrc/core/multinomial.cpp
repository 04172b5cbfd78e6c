// The multinomial draw. A lookup in all rates is a miss of the cache for every point; so points are
// sorted into blocks of rows first, and what a block's lookups need stays close.
#include <algorithm>
#include <array>
#include <bit>
#include <stdexcept>
#include <vector>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/draw.h"
#include "core/random.h"
#include "core/rate.h"
#include "core/snapshot.h"

namespace dynsample {
namespace {

constexpr std::size_t kMaxBlocks = 2048;                     // written to at once
constexpr std::size_t kThreadPoints = std::size_t{1} << 16;  // some 0.3 ms of one thread
constexpr std::size_t kRound = std::size_t{1} << 23;         // points in memory, or half the rows
constexpr std::size_t kBatch = 512;

// Finds which of some intervals, laid end to end from 0 on, a point lies in: a table has the first
// one that reaches beyond the start of each of about as many buckets of equal width.
class Lookup {
 public:
  // `until`: the end of each interval, borrowed. The last one is above 0, and above each point.
  void set(std::span<const std::uint64_t> until) {
    until_ = until.data();
    const std::uint64_t total = until.back();
    shift_ = std::max(0, static_cast<int>(std::bit_width(total)) -
                             static_cast<int>(std::bit_width(until.size())));
    const std::uint64_t buckets = (total >> shift_) + 1, below = (std::uint64_t{1} << shift_) - 1;
    first_.assign(buckets + 1, 0);
    for (std::size_t j = 0; j < until.size(); ++j) {
      const std::uint64_t after = (until_[j] >> shift_) + ((until_[j] & below) != 0);
      first_[std::min(after, buckets)] = static_cast<std::uint32_t>(j + 1);
    }
    std::uint32_t first = 0;
    for (std::uint32_t& entry : first_) entry = first = std::max(first, entry);
  }

  std::size_t operator()(std::uint64_t point) const {
    std::size_t j = first_[point >> shift_];
    j += until_[j] <= point;  // in most cases the only step: without a branch
    while (until_[j] <= point) ++j;
    return j;
  }

 private:
  const std::uint64_t* until_ = nullptr;
  Buffer<std::uint32_t> first_;
  int shift_ = 0;
};

// Adds to the counts of rows by points.
class PointCounter {
 public:
  PointCounter(const Rates& rates, std::span<std::uint32_t> counts)
      : rates_(rates), counts_(counts) {
    while ((rates.num_blocks() + width_ - 1) / width_ > kMaxBlocks) width_ *= 2;
    for (std::size_t b = 0; b < rates.num_blocks(); b += width_) {
      until_.push_back(rates.before(std::min(b + width_, rates.num_blocks())));
    }
    block_of_.set(until_);
    Chunks(counts.size()).run([&](std::size_t, std::size_t first, std::size_t last) {
      std::ranges::fill(counts.subspan(first, last - first), 0);
    });
  }

  // points(first, batch) writes the points from `first` on, an even number, to a batch; it is asked
  // for each of them twice.
  template <class Points>
  void add(std::size_t size, const Points& points) {
    const Chunks chunks(size, kThreadPoints, kBatch);
    const std::size_t blocks = until_.size();
    std::vector<std::size_t> places(chunks.count() * blocks);
    const auto for_points = [&](const auto& body) {
      chunks.run([&](std::size_t chunk, std::size_t begin, std::size_t end) {
        std::size_t* const of_block = places.data() + chunk * blocks;
        std::array<std::uint64_t, kBatch> batch;
        for (std::size_t at = begin; at < end; at += kBatch) {
          const std::span here(batch.data(), std::min(kBatch, end - at));
          points(at, here);
          for (const std::uint64_t point : here) body(point, of_block[block_of_(point)]);
        }
      });
    };
    for_points([](std::uint64_t, std::size_t& count) { ++count; });
    std::vector<std::size_t> starts(blocks + 1);
    std::size_t place = 0;
    for (std::size_t b = 0; b < blocks; ++b) {
      starts[b] = place;
      for (std::size_t chunk = 0; chunk < chunks.count(); ++chunk) {
        const std::size_t count = places[chunk * blocks + b];
        places[chunk * blocks + b] = place;
        place += count;
      }
    }
    starts[blocks] = place;
    sorted_.resize(size);
    for_points([this](std::uint64_t point, std::size_t& next) { sorted_[next++] = point; });
    count_sorted(starts);
  }

 private:
  void count_sorted(std::span<const std::size_t> starts) {
    const std::size_t blocks = until_.size();
    const std::size_t chunks = std::clamp<std::size_t>(counts_.size() / kThreadPoints, 1, blocks);
    parallel_for(chunks, [&](std::size_t chunk) {
      Buffer<std::uint64_t> until(width_ * Rates::kBlock);
      Lookup row_of;
      for (std::size_t b = blocks * chunk / chunks; b < blocks * (chunk + 1) / chunks; ++b) {
        const std::span points(sorted_.data() + starts[b], starts[b + 1] - starts[b]);
        if (points.empty()) continue;
        row_of.set(until_of(b, until));
        const std::uint64_t before = rates_.before(b * width_);
        std::uint32_t* const counts = counts_.data() + b * width_ * Rates::kBlock;
        for (const std::uint64_t point : points) ++counts[row_of(point - before)];
      }
    });
  }

  // Where the rates of the rows of a block end, from its start.
  std::span<const std::uint64_t> until_of(std::size_t block, Buffer<std::uint64_t>& until) const {
    const std::size_t first = block * width_;
    const std::size_t last = std::min(first + width_, rates_.num_blocks());
    Rates::Block rates;
    std::uint64_t sum = 0;
    std::size_t size = 0;
    for (std::size_t b = first; b < last; ++b) {
      for (const std::uint64_t rate : rates_.block(b, rates)) until[size++] = sum += rate;
    }
    return {until.data(), size};
  }

  const Rates& rates_;
  const std::span<std::uint32_t> counts_;
  std::size_t width_ = 1;             // of a block here, in blocks of the rates
  std::vector<std::uint64_t> until_;  // where the rates of each block end
  Lookup block_of_;
  Buffer<std::uint64_t> sorted_;
};

}  // namespace

void multinomial_points(std::uint64_t total, std::uint64_t seed, std::uint32_t epoch,
                        std::uint32_t first, std::span<std::uint64_t> points) {
  if (first % 2) throw std::invalid_argument("first must be even");
  std::array<std::uint32_t, 2 * kBatch> words;
  for (std::size_t at = 0; at < points.size(); at += kBatch) {
    const std::size_t here = std::min(kBatch, points.size() - at);
    kernels().random.fill(seed, (first + at) / 2, epoch, kMultinomial, (here + 1) / 2,
                          words.data());
    for (std::size_t j = 0; j < here; ++j) {
      points[at + j] = point_below(total, words[2 * j], words[2 * j + 1]);
    }
  }
}

void multinomial_counts(const Rates& rates, std::uint32_t k, std::uint64_t seed,
                        std::uint32_t epoch, std::span<std::uint32_t> counts) {
  PointCounter counter(rates, counts);
  const std::size_t round = std::max(kRound, rates.size() / 2 / kBatch * kBatch);
  for (std::size_t first = 0; first < k; first += round) {
    counter.add(std::min(round, k - first), [&](std::size_t at, std::span<std::uint64_t> batch) {
      multinomial_points(rates.total(), seed, epoch, static_cast<std::uint32_t>(first + at), batch);
    });
  }
}

void count_points(const Rates& part, std::uint64_t before, std::span<const std::uint64_t> points,
                  std::span<std::uint32_t> counts) {
  Buffer<std::uint64_t> offsets = snapshot(points.data(), points.size());
  for (std::uint64_t& point : offsets) {
    point -= before;
    if (point >= part.total()) throw std::invalid_argument("a point is in another part");
  }
  if (points.empty()) return void(std::ranges::fill(counts, 0));
  PointCounter(part, counts)
      .add(offsets.size(), [&](std::size_t at, std::span<std::uint64_t> batch) {
        std::copy_n(&offsets[at], batch.size(), batch.data());
      });
}

}  // namespace dynsample
