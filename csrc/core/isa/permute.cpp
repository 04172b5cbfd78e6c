#include "core/permute.h"

#include "core/isa/isa.h"
#include "core/isa/lanes.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

constexpr std::size_t kBlock = 2048;  // the three arrays of a block stay in the first-level cache
constexpr std::size_t kVector = 32;   // 16-bit lanes

struct Block {
  alignas(64) std::uint16_t high[kBlock];
  alignas(64) std::uint16_t low[kBlock];
  alignas(64) std::uint32_t value[kBlock];
};

// value[j] = one pass of the network over value[j], for j < count rounded up to whole vectors.
template <bool backward, bool fitted>
void encrypt(const Permutation& key, Block& block, std::uint32_t* value, std::size_t count) {
  const Permutation p = key;
  const std::size_t whole = (count + kVector - 1) / kVector * kVector;
  const std::uint32_t low_mask = (1u << p.low_bits) - 1;
  for (std::size_t j = 0; j < whole; ++j) {
    block.high[j] = static_cast<std::uint16_t>(value[j] >> p.low_bits);
    block.low[j] = static_cast<std::uint16_t>(value[j] & low_mask);
  }
  // Two rounds of all, and then the next two: a round waits for the one before it, and if a vector
  // went through all of them at once, few others would be under way meanwhile.
  for (int pair = 0; pair < kPermuteRounds; pair += 2) {
    const int round = backward ? kPermuteRounds - 2 - pair : pair;
    for (std::size_t j = 0; j < whole; ++j) {
      std::uint16_t high = block.high[j], low = block.low[j];
      if (backward) {
        permute_backward<fitted>(p, round, high, low);
      } else {
        permute_forward<fitted>(p, round, high, low);
      }
      block.high[j] = high;
      block.low[j] = low;
    }
  }
  for (std::size_t j = 0; j < whole; ++j) {
    value[j] = static_cast<std::uint32_t>(block.high[j]) << p.low_bits | block.low[j];
  }
}

// Walks the cycles of block.value[0, count) until all are below n. Those that are not are packed
// and encrypted together, so that a rejection costs no more than its share of a vector.
template <bool backward, bool fitted>
void walk(const Permutation& p, Block& block, std::size_t count) {
  alignas(64) std::uint32_t value[kBlock + kVector];
  std::uint32_t place[kBlock + kVector];
  encrypt<backward, fitted>(p, block, block.value, count);
  std::size_t outside = 0;
  for (std::size_t j = 0; j < count; j += std::size_t{kLanes}) {
    const auto lanes = load(block.value + j);
    std::uint32_t beyond = ~less(lanes, broadcast(p.n)) & kAllLanes;
    if (count - j < std::size_t{kLanes}) beyond &= (1u << (count - j)) - 1;
    compress(value + outside, lanes, beyond);
    compress(place + outside, iota(static_cast<std::uint32_t>(j)), beyond);
    outside += static_cast<std::size_t>(__builtin_popcount(beyond));
  }
  while (outside) {
    const std::size_t whole = (outside + kVector - 1) / kVector * kVector;
    for (std::size_t j = outside; j < whole; ++j) value[j] = 0;
    encrypt<backward, fitted>(p, block, value, outside);
    std::size_t left = 0;
    for (std::size_t j = 0; j < outside; ++j) {
      const std::uint32_t found = value[j];
      const std::uint32_t at = place[j];
      block.value[at] = found;
      place[left] = at;
      value[left] = found;
      left += found >= p.n;
    }
    outside = left;
  }
}

template <bool backward>
void walk(const Permutation& p, Block& block, std::size_t count) {
  return p.fitted() ? walk<backward, true>(p, block, count)
                    : walk<backward, false>(p, block, count);
}

void forward(const Permutation& p, const std::uint32_t* ids, std::uint32_t first, std::size_t count,
             std::int64_t* out) {
  Block block;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t here = count - begin < kBlock ? count - begin : kBlock;
    const std::size_t whole = (here + kVector - 1) / kVector * kVector;
    const std::uint32_t position = first + static_cast<std::uint32_t>(begin);
    for (std::size_t j = 0; j < whole; ++j) {
      block.value[j] = position + static_cast<std::uint32_t>(j);
    }
    walk<false>(p, block, here);
    if (ids) {
      for (std::size_t j = 0; j < here; ++j) out[begin + j] = ids[block.value[j]];
    } else {
      for (std::size_t j = 0; j < here; ++j) out[begin + j] = block.value[j];
    }
  }
}

void backward(const Permutation& p, const std::int64_t* values, std::size_t count,
              std::int64_t* out) {
  Block block;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t here = count - begin < kBlock ? count - begin : kBlock;
    const std::size_t whole = (here + kVector - 1) / kVector * kVector;
    for (std::size_t j = 0; j < here; ++j) {
      block.value[j] = static_cast<std::uint32_t>(values[begin + j]);
    }
    for (std::size_t j = here; j < whole; ++j) block.value[j] = 0;
    walk<true>(p, block, here);
    for (std::size_t j = 0; j < here; ++j) out[begin + j] = block.value[j];
  }
}

}  // namespace

extern const PermuteKernels permute_kernels;
const PermuteKernels permute_kernels = {forward, backward};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
