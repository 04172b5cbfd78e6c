// The order of an epoch: slices of the keyed permutation, and its inverse.
#pragma once

#include <cstdint>
#include <span>

#include "core/permute.h"

namespace dynsample {

// out[j] = the value of `p` at position first + j. first + out.size() must not exceed p.n.
// Any slice costs only itself; the same for every thread count.
void permute(const Permutation& p, std::uint32_t first, std::span<std::int64_t> out);

// out[j] = ids[the value of `p` at position first + j]; ids.size() must be p.n.
void order_slice(const Permutation& p, std::span<const std::uint32_t> ids, std::uint32_t first,
                 std::span<std::int64_t> out);

// out[j] = the position at which `p` has values[j]. Throws std::out_of_range when a value is not in
// [0, p.n).
void unpermute(const Permutation& p, std::span<const std::int64_t> values,
               std::span<std::int64_t> out);

}  // namespace dynsample
