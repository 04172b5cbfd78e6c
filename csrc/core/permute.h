// A keyed bijection of [0, n) with random access: a Feistel network on a domain that is little
// larger, walked along its cycle until it is back in [0, n) (Black and Rogaway, "Ciphers with
// arbitrary finite domains", CT-RSA 2002). docs/decisions/001 has the choice of rounds, of the
// round function and of the domain.
#pragma once

#include <cstdint>

#include "core/random.h"

namespace dynsample {

constexpr int kPermuteRounds = 6;
constexpr int kPermuteMinBits = 10;  // a tiny domain has too few round functions to look random

constexpr std::uint32_t kPermuteMostFitted = 1u << 12;  // most values of a high half that is fitted

// Keys of one permutation. Halves have at most 16 bits, so that the rounds run in 16-bit lanes, and
// a product takes one factor of 16 bits from here.
struct Permutation {
  std::uint32_t n;
  std::uint32_t low_bits;   // the low half has 2^low_bits values
  std::uint16_t high_size;  // and the high half so many, modulo 2^16
  std::uint16_t key[kPermuteRounds][3];

  // Whether the high half has as many values as n needs, and not a power of two.
  DYNSAMPLE_HOST_DEVICE bool fitted() const { return high_size - 1u < kPermuteMostFitted; }
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
  p.low_bits = bits / 2;
  const std::uint32_t least = n < (1u << kPermuteMinBits) ? 1u << kPermuteMinBits : n;
  std::uint32_t high_size = ((least - 1) >> p.low_bits) + 1;
  if (high_size > kPermuteMostFitted) high_size = 1u << (bits - p.low_bits);
  p.high_size = static_cast<std::uint16_t>(high_size);
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

// A round's word as a step of the high half, below its size. Fitted: the word scaled down, which
// makes single steps unequal by one part in 2^16 / high_size, 16 or more.
template <bool fitted>
DYNSAMPLE_HOST_DEVICE inline std::uint16_t high_step(const Permutation& p, std::uint16_t word) {
  return static_cast<std::uint16_t>(fitted ? (std::uint32_t{word} * p.high_size) >> 16
                                           : word & (p.high_size - 1u));
}

// A sum or difference of two numbers below the size, brought back below it: what has wrapped or is
// too large is above the other candidate.
template <bool fitted>
DYNSAMPLE_HOST_DEVICE inline std::uint16_t high_wrap(const Permutation& p, std::uint16_t x,
                                                     std::uint16_t other) {
  return static_cast<std::uint16_t>(fitted ? (x < other ? x : other) : x & (p.high_size - 1u));
}

// Rounds `round` and `round` + 1 on one pair of halves. Addition, not exclusive or: odd
// permutations occur too.
template <bool fitted>
DYNSAMPLE_HOST_DEVICE inline void permute_forward(const Permutation& p, int round,
                                                  std::uint16_t& high, std::uint16_t& low) {
  const std::uint32_t low_mask = (1u << p.low_bits) - 1;
  const std::uint16_t step = high_step<fitted>(p, permute_mix(p, round, low));
  const auto sum = static_cast<std::uint16_t>(high + step);
  high = high_wrap<fitted>(p, sum, static_cast<std::uint16_t>(sum - p.high_size));
  low = static_cast<std::uint16_t>((low + permute_mix(p, round + 1, high)) & low_mask);
}

// What takes them back.
template <bool fitted>
DYNSAMPLE_HOST_DEVICE inline void permute_backward(const Permutation& p, int round,
                                                   std::uint16_t& high, std::uint16_t& low) {
  const std::uint32_t low_mask = (1u << p.low_bits) - 1;
  low = static_cast<std::uint16_t>((low - permute_mix(p, round + 1, high)) & low_mask);
  const std::uint16_t step = high_step<fitted>(p, permute_mix(p, round, low));
  const auto rest = static_cast<std::uint16_t>(high - step);
  high = high_wrap<fitted>(p, rest, static_cast<std::uint16_t>(rest + p.high_size));
}

}  // namespace dynsample
