#include "core/race.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/draw.h"
#include "core/kth_key.h"
#include "core/random.h"
#include "core/select.h"

namespace dynsample {
namespace {

constexpr std::size_t kThreadRows = std::size_t{1} << 18;  // not worth another thread

}  // namespace

KeyBuffer race_keys(std::span<const float> probabilities, std::size_t first, float substitute,
                    std::uint64_t seed, std::uint32_t epoch) {
  if (first % 4) throw std::invalid_argument("first must be a multiple of 4");
  const std::size_t n = probabilities.size();
  KeyBuffer keys = key_buffer(n);
  Chunks(n / 4, kThreadRows / 4).run([&](std::size_t, std::size_t begin, std::size_t end) {
    constexpr std::size_t kBatch = 1024;
    std::array<std::uint32_t, kBatch> words;
    end = end == n / 4 ? n : 4 * end;
    for (std::size_t at = 4 * begin; at < end; at += kBatch) {
      const std::size_t here = std::min(kBatch, end - at);
      kernels().random.fill(seed, (first + at) / 4, epoch, kRace, (here + 3) / 4, words.data());
      kernels().draw.race(probabilities.data() + at, words.data(), here, substitute,
                          keys.data() + at);
    }
  });
  return keys;
}

void draw_mask(std::span<const float> probabilities, std::size_t k, std::uint64_t seed,
               std::uint32_t epoch, std::span<std::uint8_t> mask) {
  const Probabilities all = check_probabilities(probabilities);
  if (k > all.positive) {
    throw std::invalid_argument("k must be at most the number of positive probabilities, " +
                                std::to_string(all.positive) + ", got " + std::to_string(k));
  }
  const KeyBuffer keys = race_keys(probabilities, 0, all.substitute, seed, epoch);
  Rows rows = {};
  rows.size = probabilities.size();
  rows.keys = keys.data();
  hide_lowest(rows, k, mask);
}

}  // namespace dynsample
