// Counter-based randomness: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). The key is the seed, the counter is (index or position, epoch, stream), so
// that no generator state exists and any element can be computed alone.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define DYNSAMPLE_HOST_DEVICE __host__ __device__
#else
#define DYNSAMPLE_HOST_DEVICE
#endif

namespace dynsample {

// What a random number is for. Two uses never share a stream.
enum Stream : std::uint32_t {
  kOrder = 0,        // keys of the epoch's order
  kHiddenOrder = 1,  // keys of the order of the hidden samples
  kDraw = 2,         // draws with replacement
  kRace = 3,         // draws without replacement
  kBernoulli = 4,    // one coin a sample
  kTree = 5,         // prioritised replay
  kPages = 6,        // order of the pages
  kDrawOrder = 7,    // order of what was drawn
  kMultinomial = 8,  // independent draws with replacement
  kWalk = 16,        // walk of a random subset without replacement
  kBatch = 17,       // selection within a batch
};

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
