#include "core/select.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/kth_key.h"
#include "core/order_key.h"
#include "core/radix.h"
#include "core/sample.h"

namespace dynsample {
namespace {

constexpr std::size_t kSmall = 4096;  // rows that are all candidates, without a sample
constexpr std::size_t kRun = 8;       // neighbours that are sampled together, a cache line
constexpr std::size_t kAhead = 16;    // runs that are fetched before they are read

// The runs of rows that are sampled, of more than kSmall.
class Runs {
 public:
  explicit Runs(const Rows& rows)
      : count_(wanted(rows.size) / kRun),
        positions_(rows.size / kRun - 1, count_),
        data_(rows.keys ? static_cast<const void*>(rows.keys) : rows.values) {
    const auto line = reinterpret_cast<std::uintptr_t>(data_) / sizeof(float);
    aligned_ = (0 - line) % kRun;  // from here on, runs do not straddle cache lines
  }

  std::size_t count() const { return count_; }
  std::size_t first_row(std::size_t run) const { return positions_[run] * kRun + aligned_; }

  void fetch(std::size_t run) const {
    __builtin_prefetch(static_cast<const float*>(data_) + first_row(run));
  }

 private:
  static std::size_t wanted(std::size_t rows) {
    return static_cast<std::size_t>(std::pow(static_cast<double>(rows), 2.0 / 3.0));
  }

  std::size_t count_;
  Positions positions_;
  const void* data_;
  std::size_t aligned_;
};

std::uint32_t row_key(const Rows& rows, std::size_t i) {
  if (rows.keys) return rows.keys[i];
  const auto bits = std::bit_cast<std::uint32_t>(rows.values[i]);
  const bool eligible =
      (!rows.where || rows.where[i]) && (!rows.finite_only || is_finite_bits(bits));
  return eligible ? order_key(bits) : kNotEligibleKey;
}

// Hides the k lowest of `rows`, k > 0.
class Selection {
 public:
  Selection(const Rows& rows, std::size_t k, std::uint8_t* hidden)
      : rows_(rows), k_(k), hidden_(hidden), chunks_(rows.size), expected_(rows.size) {}

  Selection(const MadeKeys& made, std::size_t k, std::uint8_t* hidden)
      : made_(&made),
        rows_{nullptr, nullptr, false, made.size()},
        k_(k),
        hidden_(hidden),
        chunks_(made.size(), Chunks::kMadeRows, MadeKeys::kUnit),
        expected_(made.size()) {}

  void run() {
    take_sample();
    for (const double deviations : {3.0, 9.0}) {  // odds of 1 in 400 that one read is not enough
      set_bracket(deviations);
      if (by_candidates()) return;
    }
    if (made_) store();
    if (k_ >= count_eligible(rows_)) return hide_eligible();
    if (by_tie(low_) || by_tie(high_)) return;
    by_radix();
  }

 private:
  struct Part {  // of one chunk of rows: which are below the bracket, and the candidates inside
    std::size_t first;
    Buffer<std::uint64_t> below;
    KeyBuffer keys, ids;
    Split found;
  };

  void take_sample();
  void set_bracket(double deviations);
  bool by_candidates();
  void store();
  void hide_eligible();
  bool by_tie(std::uint32_t key);
  void by_radix();
  std::uint32_t kth_of(const std::vector<Part>& parts, std::size_t inside, std::size_t k) const;
  static std::size_t settle(Part& part, std::uint32_t kth, std::size_t ties);

  const SelectKernels& kernel_ = kernels().select;
  const MadeKeys* const made_ = nullptr;
  Rows rows_;         // of made keys: only their number, until they are stored
  KeyBuffer stored_;  // made keys
  const std::size_t k_;
  std::uint8_t* const hidden_;
  const Chunks chunks_;
  std::uint32_t low_ = 0, high_ = kNotEligibleKey;
  KeyBuffer sample_;      // keys of some rows, of none when there are few
  std::size_t expected_;  // rows in [low_, high_], by the sample
};

// The k-th key is bracketed by order statistics of n^(2/3) keys: that many leave about three times
// as many candidates, and both are then small beside the read of all rows. The keys are read in
// short runs, a cache miss for each; when neighbours resemble each other, the truth is outside of
// the first bracket more often.
void Selection::take_sample() {
  if (rows_.size <= kSmall) return;
  const Runs runs(rows_);
  sample_.resize(runs.count() * kRun);
  for (std::size_t run = 0; run < runs.count(); ++run) {
    const std::span<std::uint32_t> keys(&sample_[run * kRun], kRun);
    const std::size_t first = runs.first_row(run);
    if (made_) {
      made_->make(first, keys);
      continue;
    }
    runs.fetch(std::min(run + kAhead, runs.count() - 1));
    for (std::size_t j = 0; j < kRun; ++j) keys[j] = row_key(rows_, first + j);
  }
}

void Selection::set_bracket(double deviations) {
  const std::size_t size = sample_.size();
  if (size == 0) return;
  const auto [low, high] = bracket(size, k_, rows_.size, deviations);
  low_ = low > 1 ? kth_key(sample_, low) : 0;
  high_ = high < size ? kth_key(sample_, high) : kNotEligibleKey;
  const auto inside = std::ranges::count_if(
      sample_, [&](std::uint32_t key) { return low_ <= key && key <= high_; });
  expected_ = static_cast<std::size_t>(inside) * rows_.size / size;
}

// Marks the candidates of a part below `kth` and the first `ties` of those equal to it; returns how
// many of these there were. A coin decides each candidate, hence no branch on it, and neighbours
// share a word of bits, hence two walks, half the part apart, that do not wait for each other.
std::size_t Selection::settle(Part& part, std::uint32_t kth, std::size_t ties) {
  const std::uint32_t* keys = part.keys.data();
  const std::uint32_t* ids = part.ids.data();
  std::uint64_t* below = part.below.data();
  const auto mark = [=, first = part.first](std::size_t j, bool yes) {
    const std::size_t i = ids[j] - first;
    below[i / 64] |= std::uint64_t{yes} << i % 64;
  };
  const std::size_t count = part.found.inside, half = count / 2;
  for (std::size_t j = 0; j < half; ++j) {
    mark(j, keys[j] < kth);
    mark(j + half, keys[j + half] < kth);
  }
  if (count % 2) mark(count - 1, keys[count - 1] < kth);
  std::size_t used = 0;
  for (std::size_t j = 0; j < count && used < ties; ++j) {
    if (keys[j] == kth) mark(j, true), ++used;
  }
  return used;
}

// One read. False when the k-th key is not in the bracket, or the bracket holds so many rows (ties)
// that reading twice is cheaper than collecting them.
bool Selection::by_candidates() {
  if (rows_.size > kSmall && expected_ > rows_.size / 4) return false;
  std::vector<Part> parts(chunks_.count());
  std::atomic<bool> overflow = false;
  chunks_.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    const std::size_t capacity = std::min(last - first, 2 * expected_ + kSmall);
    Part& part = parts[chunk];
    part = {first,
            Buffer<std::uint64_t>((last - first + 63) / 64),
            key_buffer(capacity),
            key_buffer(capacity),
            {}};
    std::uint64_t* const below = part.below.data();
    std::uint32_t *const keys = part.keys.data(), *const ids = part.ids.data();
    part.found = made_ ? made_->split(first, last, low_, high_, below, keys, ids, capacity)
                       : kernel_.split(rows_, first, last, low_, high_, below, keys, ids, capacity);
    if (part.found.inside > capacity) overflow = true;
  });
  std::size_t below = 0, inside = 0;
  for (const Part& part : parts) below += part.found.below, inside += part.found.inside;
  if (overflow || k_ <= below || k_ > below + inside) return false;

  const std::size_t wanted = k_ - below;
  const std::uint32_t kth = kth_of(parts, inside, wanted);
  std::size_t ties = wanted;
  for (const Part& part : parts) {
    const std::uint32_t* keys = part.keys.data();
    ties -= static_cast<std::size_t>(std::count_if(keys, keys + part.found.inside,
                                                   [kth](std::uint32_t key) { return key < kth; }));
  }
  for (Part& part : parts) ties -= settle(part, kth, ties);
  chunks_.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    kernel_.expand(parts[chunk].below.data(), last - first, hidden_ + first);
  });
  return true;
}

std::uint32_t Selection::kth_of(const std::vector<Part>& parts, std::size_t inside,
                                std::size_t k) const {
  if (parts.size() == 1) return kth_key({parts[0].keys.data(), inside}, k);
  std::vector<std::uint32_t> keys;
  keys.reserve(inside);
  for (const Part& part : parts) {
    keys.insert(keys.end(), part.keys.data(), part.keys.data() + part.found.inside);
  }
  return kth_key(keys, k);
}

void Selection::store() {
  stored_ = made_->stored();
  rows_.keys = stored_.data();
}

void Selection::hide_eligible() {
  chunks_.run([&](std::size_t, std::size_t first, std::size_t last) {
    kernel_.mark(rows_, first, last, kNotEligibleKey, 0, hidden_);
  });
}

// Two reads, no scratch: right when the k-th key is `key`, which many rows share. Else false.
bool Selection::by_tie(std::uint32_t key) {
  const Tally found = tally(rows_, key);
  const auto [below, equal] = found.total();
  if (k_ <= below || k_ > below + equal) return false;
  mark(rows_, found, k_ - below, hidden_);
  return true;
}

// Four reads, whatever the scores: the upper half of the k-th key, its lower half, then by_tie.
void Selection::by_radix() {
  std::size_t left = k_;
  const auto find = [&left](const std::vector<std::uint32_t>& counts) {
    std::uint32_t digit = 0;
    while (left > counts.at(digit)) left -= counts[digit++];  // at: scores may be changing
    return digit;
  };
  const std::uint32_t upper = find(key_histogram(rows_, nullptr));
  const std::uint32_t lower = find(key_histogram(rows_, &upper));
  if (!by_tie(upper << 16 | lower)) throw std::logic_error("radix selection missed its key");
}

template <class Source>  // Rows or MadeKeys
void hide_lowest_of(const Source& source, std::size_t size, std::size_t k,
                    std::span<std::uint8_t> hidden) {
  check_num_rows(size);
  if (hidden.size() != size) {
    throw std::invalid_argument("hidden must have one byte for each score");
  }
  if (k > size) {
    throw std::invalid_argument("k must be in [0, " + std::to_string(size) + "], got " +
                                std::to_string(k));
  }
  if (k == 0) {
    std::fill(hidden.begin(), hidden.end(), std::uint8_t{0});
  } else {
    Selection(source, k, hidden.data()).run();
  }
}

}  // namespace

std::vector<std::int64_t> sampled_rows(const Rows& rows) {
  check_num_rows(rows.size);
  std::vector<std::int64_t> sampled;
  if (rows.size <= kSmall) return sampled;
  const Runs runs(rows);
  for (std::size_t run = 0; run < runs.count(); ++run) {
    for (std::size_t i = 0; i < kRun; ++i) {
      sampled.push_back(static_cast<std::int64_t>(runs.first_row(run) + i));
    }
  }
  return sampled;
}

void hide_lowest(const Rows& rows, std::size_t k, std::span<std::uint8_t> hidden) {
  hide_lowest_of(rows, rows.size, k, hidden);
}

void hide_lowest(const MadeKeys& keys, std::size_t k, std::span<std::uint8_t> hidden) {
  hide_lowest_of(keys, keys.size(), k, hidden);
}

void below(const Rows& rows, float bound, std::span<std::uint8_t> mask) {
  check_num_rows(rows.size);
  if (mask.size() != rows.size) {
    throw std::invalid_argument("mask must have one byte for each score");
  }
  const auto bits = std::bit_cast<std::uint32_t>(bound);
  const std::uint32_t key = bound != bound ? 0 : order_key(bits);
  Chunks(rows.size).run([&](std::size_t, std::size_t first, std::size_t last) {
    kernels().select.mark(rows, first, last, key, 0, mask.data());
  });
}

}  // namespace dynsample
