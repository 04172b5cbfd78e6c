#include "core/race.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/draw.h"
#include "core/kth_key.h"
#include "core/mask.h"
#include "core/random.h"
#include "core/select.h"

namespace dynsample {
namespace {

constexpr std::size_t kThreadRows = std::size_t{1} << 17;  // not worth another thread
constexpr std::size_t kBatch = 1024;

// Keys of n rows, the first of which has the number `first`; batch(at, words, keys) works out those
// from `at` on.
template <class Batch>
KeyBuffer keys_of(std::size_t n, std::size_t first, std::uint64_t seed, std::uint32_t epoch,
                  const Batch& batch) {
  if (first % 4) throw std::invalid_argument("first must be a multiple of 4");
  KeyBuffer keys = key_buffer(n);
  Chunks((n + kBatch - 1) / kBatch, kThreadRows / kBatch)
      .run([&](std::size_t, std::size_t begin, std::size_t end) {
        std::array<std::uint32_t, kBatch> words;
        for (std::size_t at = begin * kBatch; at < std::min(end * kBatch, n); at += kBatch) {
          const std::size_t here = std::min(kBatch, n - at);
          kernels().random.fill(seed, (first + at) / 4, epoch, kRace, (here + 3) / 4, words.data());
          batch(at, std::span<const std::uint32_t>(words.data(), here), keys.data() + at);
        }
      });
  return keys;
}

void draw_lowest(const KeyBuffer& keys, std::size_t k, std::span<std::uint8_t> mask) {
  Rows rows = {};
  rows.size = mask.size();
  rows.keys = keys.data();
  hide_lowest(rows, k, mask);
}

}  // namespace

KeyBuffer race_keys(std::span<const float> probabilities, std::size_t first, float substitute,
                    std::uint64_t seed, std::uint32_t epoch) {
  return keys_of(probabilities.size(), first, seed, epoch,
                 [&](std::size_t at, std::span<const std::uint32_t> words, std::uint32_t* keys) {
                   kernels().draw.race(probabilities.data() + at, words.data(), words.size(),
                                       substitute, keys);
                 });
}

void draw_mask(std::span<const float> probabilities, std::size_t k, std::uint64_t seed,
               std::uint32_t epoch, std::span<std::uint8_t> mask) {
  const Probabilities all = check_probabilities(probabilities);
  if (k > all.positive) {
    throw std::invalid_argument("k must be at most the number of positive probabilities, " +
                                std::to_string(all.positive) + ", got " + std::to_string(k));
  }
  draw_lowest(race_keys(probabilities, 0, all.substitute(), seed, epoch), k, mask);
}

void sample_mask(std::span<const std::uint8_t> where, std::size_t k, std::uint64_t seed,
                 std::uint32_t epoch, std::span<std::uint8_t> mask) {
  const std::size_t most = where.empty() ? mask.size() : count_set(where);
  if (k > most) {
    throw std::invalid_argument("k must be at most the number of rows to draw from, " +
                                std::to_string(most) + ", got " + std::to_string(k));
  }
  std::array<float, kBatch> equal;
  equal.fill(1);
  const KeyBuffer keys =
      keys_of(mask.size(), 0, seed, epoch,
              [&](std::size_t at, std::span<const std::uint32_t> words, std::uint32_t* out) {
                kernels().draw.race(equal.data(), words.data(), words.size(), 1, out);
                if (where.empty()) return;
                const std::uint8_t* const there = &where[at];
                for (std::size_t j = 0; j < words.size(); ++j) {
                  out[j] |= 0u - static_cast<std::uint32_t>(there[j] == 0);
                }
              });
  draw_lowest(keys, k, mask);
}

}  // namespace dynsample
