#include "core/mask.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/rows.h"

namespace dynsample {
namespace {

constexpr std::size_t kThreadRows = std::size_t{1} << 18;  // some 0.2 ms of one thread

}  // namespace

std::size_t count_set(std::span<const std::uint8_t> mask) {
  return kernels().mask.count(mask.data(), mask.size());
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
      if (kernels().mask.ids(mask.data(), first, last, invert, ids.data() + places[chunk], count) !=
          count) {
        all = false;
      }
    });
  }
  if (!all) {
    throw std::invalid_argument(
        "ids must have one place for each row of mask that is listed, and mask must not change");
  }
}

}  // namespace dynsample
