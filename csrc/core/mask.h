// Masks of one byte per row: how many are set, which, and a choice by them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dynsample {

// Number of bytes of `mask` that are not zero.
std::size_t count_set(std::span<const std::uint8_t> mask);

// Ascending row numbers of the set (or, if `invert`, of the unset) bytes of `mask`. `ids` must have
// exactly as many places. Throws std::invalid_argument for other sizes, or over 2^32 - 1 rows.
void mask_ids(std::span<const std::uint8_t> mask, bool invert, std::span<std::uint32_t> ids);

// out[i] = inside where mask[i] is not zero, else outside. Sizes are the same.
void choose(std::span<const std::uint8_t> mask, float inside, float outside, std::span<float> out);

}  // namespace dynsample
