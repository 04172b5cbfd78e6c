// A 128-bit digest of an epoch's order and weights.
#pragma once

#include <cstdint>
#include <span>

namespace dynsample {

// The sum, modulo 2^128, of Philox(key = seed, counter = (position, id, weight bits, epoch)) over
// the rows at `positions`. A sum, so that the digests of any partition of the
// positions add up to the digest of the whole; a keyed hash of the position, so that no exchange of
// two rows can go unseen. Empty `weights` stand for 1. Ids and positions are below 2^32.
unsigned __int128 digest(std::uint64_t seed, std::uint32_t epoch,
                         std::span<const std::int64_t> positions, std::span<const std::int64_t> ids,
                         std::span<const float> weights);

}  // namespace dynsample
