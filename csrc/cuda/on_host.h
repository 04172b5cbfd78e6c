// What the drivers of cuda/launch.h on a CPU share: device memory is the host's, and a stream has
// always done its work.
#pragma once

#include <cstdint>
#include <cstring>

#define DYNSAMPLE_DEVICE
#define DYNSAMPLE_UNROLL

namespace dynsample::cuda {

template <class Kernel>
void load(Stream) {}

inline unsigned count_bits(unsigned word) {
  return static_cast<unsigned>(__builtin_popcount(word));
}
inline unsigned lowest_bit(unsigned word) { return static_cast<unsigned>(__builtin_ctz(word)); }

inline void copy_to_host(void* to, const void* from, std::size_t size, Stream) {
  std::memcpy(to, from, size);
}
inline void copy_to_device(void* to, const void* from, std::size_t size, Stream) {
  std::memcpy(to, from, size);
}
inline void copy_on_device(void* to, const void* from, std::size_t size, Stream) {
  if (size) std::memcpy(to, from, size);
}
inline void fill_bytes(void* to, unsigned char value, std::size_t size, Stream) {
  std::memset(to, value, size);
}

}  // namespace dynsample::cuda
