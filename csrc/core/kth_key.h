// Exact order statistics of keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/buffer.h"

namespace dynsample {

using KeyBuffer = Buffer<std::uint32_t>;

// Room for `capacity` keys and the slack that the kernels need; not initialised.
KeyBuffer key_buffer(std::size_t capacity);

// The k-th lowest of `keys`, k in [1, keys.size()].
std::uint32_t kth_key(std::span<const std::uint32_t> keys, std::size_t k);

}  // namespace dynsample
