#include "core/permute.h"

#include "core/isa/isa.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

constexpr std::size_t kBlock = 2048;  // the three arrays of a block stay in the first-level cache
constexpr std::size_t kLanes = 32;

struct Block {
  alignas(64) std::uint16_t high[kBlock];
  alignas(64) std::uint16_t low[kBlock];
  alignas(64) std::uint32_t value[kBlock];
};

// value[j] = one pass of the network over value[j], for j < count rounded up to whole vectors.
template <bool backward>
void encrypt(const Permutation& key, Block& block, std::uint32_t* value, std::size_t count) {
  const Permutation p = key;
  const std::size_t whole = (count + kLanes - 1) / kLanes * kLanes;
  const std::uint32_t low_mask = (1u << p.low_bits) - 1;
  for (std::size_t j = 0; j < whole; ++j) {
    block.high[j] = static_cast<std::uint16_t>(value[j] >> p.low_bits);
    block.low[j] = static_cast<std::uint16_t>(value[j] & low_mask);
  }
  for (std::size_t j = 0; j < whole; ++j) {
    std::uint16_t high = block.high[j], low = block.low[j];
    if (backward) {
      permute_backward(p, high, low);
    } else {
      permute_forward(p, high, low);
    }
    block.high[j] = high;
    block.low[j] = low;
  }
  for (std::size_t j = 0; j < whole; ++j) {
    value[j] = static_cast<std::uint32_t>(block.high[j]) << p.low_bits | block.low[j];
  }
}

// Walks the cycles of block.value[0, count) until all are below n. Those that are not are packed
// and encrypted together, so that a rejection costs no more than its share of a vector.
template <bool backward>
void walk(const Permutation& p, Block& block, std::size_t count) {
  alignas(64) std::uint32_t value[kBlock + 1];
  std::uint16_t place[kBlock + 1];
  encrypt<backward>(p, block, block.value, count);
  std::size_t outside = 0;
  for (std::size_t j = 0; j < count; ++j) {
    place[outside] = static_cast<std::uint16_t>(j);
    value[outside] = block.value[j];
    outside += block.value[j] >= p.n;
  }
  while (outside) {
    const std::size_t whole = (outside + kLanes - 1) / kLanes * kLanes;
    for (std::size_t j = outside; j < whole; ++j) value[j] = 0;
    encrypt<backward>(p, block, value, outside);
    std::size_t left = 0;
    for (std::size_t j = 0; j < outside; ++j) {
      const std::uint32_t found = value[j];
      const std::uint16_t at = place[j];
      block.value[at] = found;
      place[left] = at;
      value[left] = found;
      left += found >= p.n;
    }
    outside = left;
  }
}

void forward(const Permutation& p, const std::uint32_t* ids, std::uint32_t first, std::size_t count,
             std::int64_t* out) {
  Block block;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t here = count - begin < kBlock ? count - begin : kBlock;
    const std::size_t whole = (here + kLanes - 1) / kLanes * kLanes;
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
    const std::size_t whole = (here + kLanes - 1) / kLanes * kLanes;
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
