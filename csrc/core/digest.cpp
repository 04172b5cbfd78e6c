#include "core/digest.h"

#include <bit>
#include <cstddef>
#include <stdexcept>

#include "core/random.h"

namespace dynsample {

unsigned __int128 digest(std::uint64_t seed, std::uint32_t epoch,
                         std::span<const std::int64_t> positions, std::span<const std::int64_t> ids,
                         std::span<const float> weights) {
  if (positions.size() != ids.size() || (!weights.empty() && weights.size() != ids.size())) {
    throw std::invalid_argument("positions, ids and weights must have the same length");
  }
  unsigned __int128 sum = 0;
  for (std::size_t j = 0; j < ids.size(); ++j) {
    const float weight = weights.empty() ? 1.0f : weights[j];
    const Philox4 word = philox4x32_10(
        {{static_cast<std::uint32_t>(positions[j]), static_cast<std::uint32_t>(ids[j]),
          std::bit_cast<std::uint32_t>(weight), epoch}},
        static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
    const std::uint64_t low = word.lane[0] | std::uint64_t{word.lane[1]} << 32;
    const std::uint64_t high = word.lane[2] | std::uint64_t{word.lane[3]} << 32;
    sum += static_cast<unsigned __int128>(high) << 64 | low;
  }
  return sum;
}

}  // namespace dynsample
