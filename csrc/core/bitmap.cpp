#include "core/bitmap.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/rows.h"

namespace dynsample {
namespace {

constexpr std::size_t kThreadRows = std::size_t{1} << 18;  // some 0.2 ms of one thread

void check_found(std::size_t found, std::span<const std::int64_t> values, const char* name,
                 std::size_t limit) {
  if (found == values.size()) return;
  throw std::out_of_range(std::string(name) + " must be in [0, " + std::to_string(limit) +
                          "), got " + std::to_string(values[found]));
}

void check_sizes(std::size_t a, std::size_t b) {
  if (a != b) throw std::invalid_argument("ids and ranks must have the same length");
}

}  // namespace

std::size_t count_set(std::span<const std::uint8_t> mask) {
  return kernels().bitmap.count(mask.data(), mask.size());
}

void choose(std::span<const std::uint8_t> mask, float inside, float outside, std::span<float> out) {
  const float of[] = {outside, inside};  // a branch would be guessed wrong for every other row
  Chunks(mask.size()).run([&](std::size_t, std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) out[i] = of[mask[i] != 0];
  });
}

void mask_ids(std::span<const std::uint8_t> mask, bool invert, std::span<std::uint32_t> ids) {
  check_num_rows(mask.size());
  const Chunks chunks(mask.size(), kThreadRows);
  std::vector<std::size_t> places(chunks.count() + 1);
  chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    const std::size_t set = count_set(mask.subspan(first, last - first));
    places[chunk + 1] = invert ? last - first - set : set;
  });
  std::partial_sum(places.begin(), places.end(), places.begin());
  std::atomic<bool> all = places.back() == ids.size();
  if (all) {
    chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
      const std::size_t count = places[chunk + 1] - places[chunk];
      if (kernels().bitmap.ids(mask.data(), first, last, invert, ids.data() + places[chunk],
                               count) != count) {
        all = false;
      }
    });
  }
  if (!all) {
    throw std::invalid_argument(
        "ids must have one place for each row of mask that is listed, and mask must not change");
  }
}

Bitmap::Bitmap(std::span<const std::uint8_t> mask) : size_(mask.size()) {
  check_num_rows(size_);
  words_.resize((size_ + 63) / 64);
  before_.resize(words_.size() + 1);
  kernels().bitmap.pack(mask.data(), size_, words_.data());
  kernels().bitmap.cumulate(words_.data(), words_.size(), before_.data());
  hints_.resize((count() >> kHintShift) + 2);
  std::size_t word = 0;
  for (std::size_t j = 0; j < hints_.size(); ++j) {
    const std::size_t wanted = j << kHintShift;
    while (word + 1 < words_.size() && before_[word + 1] <= wanted) ++word;
    hints_[j] = static_cast<std::uint32_t>(word);
  }
}

BitmapView Bitmap::view() const {
  return {words_.data(), before_.data(), words_.size(), hints_.data(), size_};
}

void Bitmap::rank(std::span<const std::int64_t> ids, std::span<std::int64_t> ranks) const {
  check_sizes(ids.size(), ranks.size());
  check_found(kernels().bitmap.rank(view(), ids.data(), ids.size(), ranks.data()), ids, "ids",
              size_);
}

void Bitmap::select(std::span<const std::int64_t> ranks, std::span<std::int64_t> ids) const {
  check_sizes(ids.size(), ranks.size());
  check_found(kernels().bitmap.select(view(), ranks.data(), ranks.size(), ids.data()), ranks,
              "ranks", count());
}

}  // namespace dynsample
