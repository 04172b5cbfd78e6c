// What the drivers of cuda/launch.h on a CPU share: device memory is the host's, and a stream has
// always done its work.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda/stream.h"

#define DYNSAMPLE_DEVICE
#define DYNSAMPLE_UNROLL

namespace dynsample::cuda {

template <class Kernel>
void load(Stream) {}

inline unsigned count_bits(unsigned word) {
  return static_cast<unsigned>(__builtin_popcount(word));
}
inline unsigned lowest_bit(unsigned word) { return static_cast<unsigned>(__builtin_ctz(word)); }

// How often a GPU would have been waited for.
inline std::atomic<std::uint64_t> waits{0};

inline void wait_for_device(Stream) { ++waits; }

inline void copy_to_host(void* to, const void* from, std::size_t size, Stream) {
  ++waits;
  std::memcpy(to, from, size);
}
inline void copy_to_device(void* to, const void* from, std::size_t size, Stream) {
  ++waits;
  std::memcpy(to, from, size);
}
inline void copy_on_device(void* to, const void* from, std::size_t size, Stream) {
  if (size) std::memcpy(to, from, size);
}
inline void fill_bytes(void* to, unsigned char value, std::size_t size, Stream) {
  std::memset(to, value, size);
}

}  // namespace dynsample::cuda
