#include "core/race.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "core/dispatch.h"
#include "core/draw.h"
#include "core/made_keys.h"
#include "core/mask.h"
#include "core/race_key.h"
#include "core/random.h"
#include "core/select.h"

namespace dynsample {
namespace {

constexpr std::size_t kBatch = MadeKeys::kBatch;
constexpr std::uint32_t kOne = 0x3F800000;  // the bits of 1, the p of all for equal chances

// The words of up to kBatch rows, the first of which has a number that is a multiple of 4.
class Words {
 public:
  Words(std::uint64_t seed, std::uint32_t epoch, std::uint32_t stream = kRace,
        std::size_t before = 0)
      : seed_(seed), epoch_(epoch), stream_(stream), before_(before) {
    if (before % 4) throw std::invalid_argument("first must be a multiple of 4");
  }

  using Batch = std::array<std::uint32_t, kBatch>;
  void fill(std::size_t first, std::size_t n, Batch& out) const {
    kernels().random.fill(seed_, (before_ + first) / 4, epoch_, stream_, (n + 3) / 4, out.data());
  }

 private:
  std::uint64_t seed_;
  std::uint32_t epoch_;
  std::uint32_t stream_;
  std::size_t before_;  // rows before row 0 here
};

// Words in the place of keys, the largest first. A row of word 0, which comes last of all, is left
// out: it is missed only where it is drawn, and then by the selection, which finds too few rows.
class DescendingWords final : public MadeKeys {
 public:
  DescendingWords(std::span<const std::uint8_t> where, std::size_t size, Words words)
      : MadeKeys(size), where_(where), words_(words) {}

  void make(std::size_t first, std::span<std::uint32_t> out) const override {
    Words::Batch words;
    words_.fill(first, out.size(), words);
    kernels().draw.equal_race(where_.empty() ? nullptr : &where_[first], words.data(), out.size(),
                              out.data());
  }

 private:
  std::span<const std::uint8_t> where_;
  Words words_;
};

// The first of [0, 2^32 - 1) that passes, else 2^32 - 1; all that come after one that passes do.
template <class Test>
std::uint32_t first_of(const Test& passes) {
  std::uint32_t low = 0, high = ~0u;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (passes(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// A race by chances. By the same word no chance has a lower key than the largest has, so that where
// few rows are drawn most are out by their words, and only the others are given an exponential.
class Race final : public MadeKeys {
 public:
  // No chance is above `largest`, which stands for those that are not finite.
  Race(std::span<const float> chances, float largest, Words words)
      : MadeKeys(chances.size()),
        chances_(chances),
        largest_(largest),
        words_(words),
        descending_({}, chances.size(), words) {}

  void make(std::size_t first, std::span<std::uint32_t> keys) const override {
    Words::Batch words;
    words_.fill(first, keys.size(), words);
    kernels().draw.race(&chances_[first], words.data(), keys.size(), largest_, keys.data());
  }

  Split split(std::size_t begin, std::size_t end, std::uint32_t low, std::uint32_t high,
              std::uint64_t* below, std::uint32_t* keys, std::uint32_t* ids,
              std::size_t capacity) const override {
    const std::uint32_t top = float_bits(largest_);
    const std::uint32_t out = first_of([=](auto x) { return race_key(top, ~x, top) > high; });
    if (out - 1 >= kFew) return MadeKeys::split(begin, end, low, high, below, keys, ids, capacity);
    std::array<std::uint32_t, kBatch + kStoreSlack> words, rows;
    std::array<std::uint32_t, kBatch> own;
    std::array<float, kBatch> chances;
    Split total = {0, 0};
    for (std::size_t at = begin; at < end && total.inside <= capacity; at += kBatch) {
      std::uint64_t* const bits = below + (at - begin) / 64;
      const std::size_t left = std::min(kBatch, end - at);
      const std::size_t few =
          descending_.split(at, at + left, 0, out - 1, bits, words.data(), rows.data(), kBatch)
              .inside;
      for (std::size_t j = 0; j < few; ++j) {
        words[j] = ~words[j];
        chances[j] = chances_[rows[j]];
      }
      kernels().draw.race(chances.data(), words.data(), few, largest_, own.data());
      for (std::size_t j = 0; j < few && total.inside <= capacity; ++j) {
        const std::size_t bit = rows[j] - at;
        const bool under = own[j] < low, within = !under && own[j] <= high;
        bits[bit / 64] |= std::uint64_t{under} << bit % 64;
        keys[total.inside] = own[j];
        ids[total.inside] = rows[j];
        total.below += under;
        total.inside += within;
      }
    }
    return total;
  }

 private:
  static constexpr std::uint32_t kFew = 1u << 30;  // of 2^32 words; else all rows are read as well

  std::span<const float> chances_;
  float largest_;
  Words words_;
  DescendingWords descending_;
};

// A race of equal chances is decided by the words, without an exponential for each: no larger word
// has a larger one (core/race_key.h). Only the candidates are given keys, by which they tie.
class EqualRace final : public MadeKeys {
 public:
  EqualRace(std::span<const std::uint8_t> where, std::size_t size, Words words)
      : MadeKeys(size), where_(where), words_(words), descending_(where, size, words) {}

  void make(std::size_t first, std::span<std::uint32_t> keys) const override {
    Words::Batch words;
    words_.fill(first, keys.size(), words);
    std::array<float, kBatch> chances;
    for (std::size_t j = 0; j < keys.size(); ++j) {
      chances[j] = where_.empty() || where_[first + j] ? 1.0f : 0.0f;
    }
    kernels().draw.race(chances.data(), words.data(), keys.size(), 1, keys.data());
  }

  Split split(std::size_t begin, std::size_t end, std::uint32_t low, std::uint32_t high,
              std::uint64_t* below, std::uint32_t* keys, std::uint32_t* ids,
              std::size_t capacity) const override {
    const auto key = [](std::uint32_t word) { return race_key(kOne, word, kOne); };
    const std::uint32_t first = first_of([=](std::uint32_t x) { return key(~x) >= low; });
    const std::uint32_t after = first_of([=](std::uint32_t x) { return key(~x) > high; });
    const Split found = descending_.split(begin, end, first, after - 1, below, keys, ids, capacity);
    std::array<float, kBatch> equal;
    equal.fill(1);
    Words::Batch words;
    for (std::size_t at = 0; at < found.inside; at += kBatch) {
      const std::size_t here = std::min(kBatch, found.inside - at);
      for (std::size_t j = 0; j < here; ++j) words[j] = ~keys[at + j];
      kernels().draw.race(equal.data(), words.data(), here, 1, keys + at);
    }
    return found;
  }

 private:
  std::span<const std::uint8_t> where_;
  Words words_;
  DescendingWords descending_;
};

}  // namespace

KeyBuffer race_keys(std::span<const float> probabilities, std::size_t first, float substitute,
                    std::uint64_t seed, std::uint32_t epoch) {
  return Race(probabilities, substitute, Words(seed, epoch, kRace, first)).stored();
}

void draw_mask(std::span<const float> probabilities, std::size_t k, std::uint64_t seed,
               std::uint32_t epoch, std::uint32_t stream, std::span<std::uint8_t> mask) {
  const Probabilities all = check_probabilities(probabilities);
  if (k > all.positive) {
    throw std::invalid_argument("k must be at most the number of positive probabilities, " +
                                std::to_string(all.positive) + ", got " + std::to_string(k));
  }
  hide_lowest(Race(probabilities, all.substitute(), Words(seed, epoch, stream)), k, mask);
}

void sample_mask(std::span<const std::uint8_t> where, std::size_t k, std::uint64_t seed,
                 std::uint32_t epoch, std::span<std::uint8_t> mask) {
  const std::size_t most = where.empty() ? mask.size() : count_set(where);
  if (k > most) {
    throw std::invalid_argument("k must be at most the number of rows to draw from, " +
                                std::to_string(most) + ", got " + std::to_string(k));
  }
  hide_lowest(EqualRace(where, mask.size(), Words(seed, epoch)), k, mask);
}

}  // namespace dynsample
