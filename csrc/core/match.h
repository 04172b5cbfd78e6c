// Which position an observation belongs to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dynsample {

// places[j] = the place in `issued` of observation j: the i-th observation of a row belongs to the
// i-th time that it was issued; -1 when there were more. Returns how many are -1. With `unique` no
// row is in `issued` twice, and observations in the order of issue take linear time.
std::size_t match(std::span<const std::uint32_t> issued, std::span<const std::uint32_t> observed,
                  bool unique, std::span<std::int64_t> places);

}  // namespace dynsample
