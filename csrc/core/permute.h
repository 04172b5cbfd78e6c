// A keyed bijection of [0, n) with random access: a Feistel network on the bits of n - 1, walked
// along its cycle until it is back in [0, n) (Black and Rogaway, "Ciphers with arbitrary finite
// domains", CT-RSA 2002). docs/decisions/001 has the choice of rounds and of the round function.
#pragma once

#include <cstdint>

#include "core/random.h"

namespace dynsample {

constexpr int kPermuteRounds = 6;
constexpr int kPermuteMinBits = 10;  // a tiny domain has too few round functions to look random

// Keys of one permutation. Halves have at most 16 bits, so that the rounds run in 16-bit lanes.
struct Permutation {
  std::uint32_t n;
  std::uint32_t high_bits, low_bits;
  std::uint16_t key[kPermuteRounds][3];
};

// The permutation of [0, n) in (seed, epoch, stream). Its keys are counted from 2^63 on, where no
// row or position of another use of the stream can be.
DYNSAMPLE_HOST_DEVICE inline Permutation make_permutation(std::uint32_t n, std::uint64_t seed,
                                                          std::uint32_t epoch,
                                                          std::uint32_t stream) {
  Permutation p = {};
  p.n = n;
  std::uint32_t bits = kPermuteMinBits;
  while (bits < 32 && (std::uint64_t{1} << bits) < n) ++bits;
  p.high_bits = bits / 2;
  p.low_bits = bits - p.high_bits;
  const std::uint64_t first = std::uint64_t{1} << 63 | std::uint64_t{n} << 8;
  for (int round = 0; round < kPermuteRounds; ++round) {
    const Philox4 word = philox(seed, first + static_cast<std::uint64_t>(round), epoch, stream);
    for (int j = 0; j < 3; ++j) p.key[round][j] = static_cast<std::uint16_t>(word.lane[j]);
  }
  return p;
}

// Both halves of the product, by exclusive or: every bit of x can reach every bit of the result.
DYNSAMPLE_HOST_DEVICE inline std::uint16_t permute_fold(std::uint16_t x, std::uint16_t factor) {
  const std::uint16_t high = static_cast<std::uint16_t>((std::uint32_t{x} * factor) >> 16);
  const std::uint16_t low = static_cast<std::uint16_t>(std::uint32_t{x} * factor);
  return high ^ low;
}

// The round function, three products with fixed factors (keyed ones were weak for one key in some
// thousands): 16 bits to 16 bits, of which the caller keeps the low ones of its half.
DYNSAMPLE_HOST_DEVICE inline std::uint16_t permute_mix(const Permutation& p, int round,
                                                       std::uint16_t half) {
  std::uint16_t x = permute_fold(static_cast<std::uint16_t>(half ^ p.key[round][0]), 0xB4B3);
  x = permute_fold(static_cast<std::uint16_t>(x + p.key[round][1]), 0xE995);
  return permute_fold(static_cast<std::uint16_t>(x ^ p.key[round][2]), 0xA6C5);
}

// All rounds on one pair of halves. Addition, not exclusive or: odd permutations occur too.
DYNSAMPLE_HOST_DEVICE inline void permute_forward(const Permutation& p, std::uint16_t& high,
                                                  std::uint16_t& low) {
  const std::uint32_t high_mask = (1u << p.high_bits) - 1, low_mask = (1u << p.low_bits) - 1;
  for (int round = 0; round < kPermuteRounds; round += 2) {
    high = static_cast<std::uint16_t>((high + permute_mix(p, round, low)) & high_mask);
    low = static_cast<std::uint16_t>((low + permute_mix(p, round + 1, high)) & low_mask);
  }
}

DYNSAMPLE_HOST_DEVICE inline void permute_backward(const Permutation& p, std::uint16_t& high,
                                                   std::uint16_t& low) {
  const std::uint32_t high_mask = (1u << p.high_bits) - 1, low_mask = (1u << p.low_bits) - 1;
  for (int round = kPermuteRounds - 2; round >= 0; round -= 2) {
    low = static_cast<std::uint16_t>((low - permute_mix(p, round + 1, high)) & low_mask);
    high = static_cast<std::uint16_t>((high - permute_mix(p, round, low)) & high_mask);
  }
}

// The value at one position, or with backward the position of one value; argument and result in [0,
// n).
template <bool backward>
DYNSAMPLE_HOST_DEVICE inline std::uint32_t permute_one(const Permutation& p, std::uint32_t x) {
  do {
    std::uint16_t high = static_cast<std::uint16_t>(x >> p.low_bits);
    std::uint16_t low = static_cast<std::uint16_t>(x & ((1u << p.low_bits) - 1));
    if (backward) {
      permute_backward(p, high, low);
    } else {
      permute_forward(p, high, low);
    }
    x = static_cast<std::uint32_t>(high) << p.low_bits | low;
  } while (x >= p.n);
  return x;
}

}  // namespace dynsample
