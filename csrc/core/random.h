// Counter-based randomness: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). The key is the seed, the counter is (index or position, epoch, stream), so
// that no generator state exists and any element can be computed alone.
#pragma once

#include <cstdint>

#include "core/streams.h"

#if defined(__CUDACC__)
#define DYNSAMPLE_HOST_DEVICE __host__ __device__
#else
#define DYNSAMPLE_HOST_DEVICE
#endif

namespace dynsample {

struct Philox4 {
  std::uint32_t lane[4];
};

// One block of the generator: counter words c, key words k.
DYNSAMPLE_HOST_DEVICE inline Philox4 philox4x32_10(Philox4 c, std::uint32_t k0, std::uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c.lane[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c.lane[2];
    c = {{static_cast<std::uint32_t>(p1 >> 32) ^ c.lane[1] ^ k0, static_cast<std::uint32_t>(p1),
          static_cast<std::uint32_t>(p0 >> 32) ^ c.lane[3] ^ k1, static_cast<std::uint32_t>(p0)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// The block of `index` in (seed, epoch, stream).
DYNSAMPLE_HOST_DEVICE inline Philox4 philox(std::uint64_t seed, std::uint64_t index,
                                            std::uint32_t epoch, std::uint32_t stream) {
  const Philox4 counter = {
      {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), epoch, stream}};
  return philox4x32_10(counter, static_cast<std::uint32_t>(seed),
                       static_cast<std::uint32_t>(seed >> 32));
}

}  // namespace dynsample
