// Which position an observation belongs to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dynsample {

// The i-th observation of a row belongs to the i-th time that it was issued. Both functions take
// time linear in what they are given, in any order, and throw std::out_of_range for a row outside
// of [0, num_rows).

// Whether every observation belongs to something issued. With `unique` no row is in `issued` twice.
bool all_issued(std::span<const std::uint32_t> issued, std::span<const std::uint32_t> observed,
                std::size_t num_rows, bool unique);

// places[j] = the place in `issued` of observation j, -1 when there is none. Returns how many are
// -1.
std::size_t match(std::span<const std::uint32_t> issued, std::span<const std::uint32_t> observed,
                  std::size_t num_rows, std::span<std::int64_t> places);

// As above, where several plans were issued one after the other: plan p at the places [starts[p],
// starts[p + 1]). Observation j is of plan plans[j], or of any of them where that is below 0.
// Throws std::invalid_argument unless `starts` ascends from 0 to the end of `issued`, and
// std::out_of_range for a plan that is not there.
std::size_t match(std::span<const std::uint32_t> issued, std::span<const std::size_t> starts,
                  std::span<const std::uint32_t> observed, std::span<const std::int32_t> plans,
                  std::size_t num_rows, std::span<std::int64_t> places);

}  // namespace dynsample
