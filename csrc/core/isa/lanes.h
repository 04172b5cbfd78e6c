// Compaction of 32-bit lanes: the one idiom that compilers do not find by themselves.
//
// AVX-512 compresses in a register, AVX2 permutes by a table of 256 rows; both then store a whole
// vector, so a destination needs room for one beyond its end. A compressing store to memory is many
// times slower on some processors.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

#if defined(__AVX512F__)

constexpr int kLanes = 16;
using Lanes = __m512i;

inline Lanes load(const void* from) { return _mm512_loadu_si512(from); }
inline Lanes broadcast(std::uint32_t value) { return _mm512_set1_epi32(static_cast<int>(value)); }
inline Lanes iota(std::uint32_t first) {
  return _mm512_add_epi32(broadcast(first),
                          _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
}
inline std::uint32_t less(Lanes a, Lanes b) { return _mm512_cmplt_epu32_mask(a, b); }
inline Lanes subtract(Lanes a, Lanes b) { return _mm512_sub_epi32(a, b); }
inline Lanes flip_negative(Lanes a) {  // unmasked shifts: a false warning of g++ 12
  const Lanes sign = _mm512_maskz_srai_epi32(0xFFFF, a, 31);
  return _mm512_xor_epi32(a, _mm512_maskz_srli_epi32(0xFFFF, sign, 1));
}

// Stores the lanes that are set in `mask`, in order, and then anything.
inline void compress(std::uint32_t* to, Lanes lanes, std::uint32_t mask) {
  _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask), lanes));
}

// Bit j = byte j is not zero.
inline std::uint64_t nonzero_bytes(const std::uint8_t* from) {
  const __m512i bytes = _mm512_loadu_si512(from);
  return _mm512_test_epi8_mask(bytes, bytes);
}

// Byte j = bit j.
inline void store_flags(std::uint8_t* to, std::uint64_t bits) {
  _mm512_storeu_si512(to, _mm512_maskz_set1_epi8(bits, 1));
}

// Adds `change` to the last of 8 numbers, from `place` on.
inline void add_from(std::int64_t* numbers, std::size_t place, std::int64_t change) {
  const auto last = static_cast<__mmask8>(0xFFu << place);
  const __m512i sums = _mm512_loadu_si512(numbers);
  _mm512_storeu_si512(numbers, _mm512_mask_add_epi64(sums, last, sums, _mm512_set1_epi64(change)));
}

// How many of 8 numbers are at most `limit`.
inline std::size_t count_at_most(const std::int64_t* from, std::int64_t limit) {
  const __m512i limits = _mm512_set1_epi64(limit);
  return static_cast<std::size_t>(
      __builtin_popcount(_mm512_cmple_epi64_mask(_mm512_loadu_si512(from), limits)));
}

// How many of the sums of the first 1, 2, ... 8 numbers are at most `limit`.
inline std::size_t count_sums_at_most(const std::int64_t* from, std::int64_t limit) {
  const __m512i zero = _mm512_setzero_si512(), limits = _mm512_set1_epi64(limit);
  __m512i sums = _mm512_loadu_si512(from);
  sums = _mm512_add_epi64(sums, _mm512_maskz_alignr_epi64(0xFF, sums, zero, 7));
  sums = _mm512_add_epi64(sums, _mm512_maskz_alignr_epi64(0xFF, sums, zero, 6));
  sums = _mm512_add_epi64(sums, _mm512_maskz_alignr_epi64(0xFF, sums, zero, 4));
  return static_cast<std::size_t>(__builtin_popcount(_mm512_cmple_epi64_mask(sums, limits)));
}

#elif defined(__AVX2__)

constexpr int kLanes = 8;
using Lanes = __m256i;

// Row m: the positions of the set bits of m, in order.
struct CompressTable {
  std::uint64_t row[256];
  constexpr CompressTable() : row() {
    for (int mask = 0; mask < 256; ++mask) {
      int filled = 0;
      for (int lane = 0; lane < 8; ++lane) {
        if (mask >> lane & 1) row[mask] |= static_cast<std::uint64_t>(lane) << 8 * filled++;
      }
    }
  }
};
constexpr CompressTable kCompress;

inline Lanes load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline Lanes broadcast(std::uint32_t value) { return _mm256_set1_epi32(static_cast<int>(value)); }
inline Lanes iota(std::uint32_t first) {
  return _mm256_add_epi32(broadcast(first), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
}
inline std::uint32_t less(Lanes a, Lanes b) {  // a < b unless b is the lower or the same
  const Lanes not_less = _mm256_cmpeq_epi32(_mm256_min_epu32(a, b), b);
  return ~static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(not_less))) & 0xFFu;
}
inline Lanes subtract(Lanes a, Lanes b) { return _mm256_sub_epi32(a, b); }
inline Lanes flip_negative(Lanes a) {
  return _mm256_xor_si256(a, _mm256_srli_epi32(_mm256_srai_epi32(a, 31), 1));
}

inline void compress(std::uint32_t* to, Lanes lanes, std::uint32_t mask) {
  const auto row = static_cast<long long>(kCompress.row[mask]);
  const Lanes order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(row));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(lanes, order));
}

inline std::uint64_t nonzero_bytes(const std::uint8_t* from) {
  const auto zeros = [from](int half) {
    const auto* at = reinterpret_cast<const __m256i*>(from + 32 * half);
    const __m256i zero = _mm256_cmpeq_epi8(_mm256_loadu_si256(at), _mm256_setzero_si256());
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(zero));
  };
  return ~(zeros(0) | std::uint64_t{zeros(1)} << 32);
}

inline void store_flags(std::uint8_t* to, std::uint64_t bits) {
  const __m256i spread =
      _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
  const __m256i bit_of_byte = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  for (int half = 0; half < 2; ++half) {
    const auto word = static_cast<int>(static_cast<std::uint32_t>(bits >> 32 * half));
    const __m256i copies = _mm256_shuffle_epi8(_mm256_set1_epi32(word), spread);
    const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(copies, bit_of_byte), bit_of_byte);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32 * half),
                        _mm256_and_si256(set, _mm256_set1_epi8(1)));
  }
}

inline void add_from(std::int64_t* numbers, std::size_t place, std::int64_t change) {
  const __m256i before = _mm256_set1_epi64x(static_cast<long long>(place) - 1);
  const __m256i changes = _mm256_set1_epi64x(change);
  for (int half = 0; half < 2; ++half) {
    const __m256i places =
        _mm256_add_epi64(_mm256_set_epi64x(3, 2, 1, 0), _mm256_set1_epi64x(4 * half));
    auto* at = reinterpret_cast<__m256i*>(numbers) + half;
    const __m256i added = _mm256_and_si256(changes, _mm256_cmpgt_epi64(places, before));
    _mm256_storeu_si256(at, _mm256_add_epi64(_mm256_loadu_si256(at), added));
  }
}

inline std::size_t count_at_most(const std::int64_t* from, std::int64_t limit) {
  const __m256i limits = _mm256_set1_epi64x(limit);
  const auto above = [&](int half) {
    const __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + half);
    return _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(four, limits)));
  };
  return 8 - static_cast<std::size_t>(
                 __builtin_popcount(static_cast<unsigned>(above(0) | above(1) << 4)));
}

#else

constexpr int kLanes = 1;
using Lanes = std::uint32_t;

inline Lanes load(const void* from) {
  Lanes lane;
  __builtin_memcpy(&lane, from, sizeof lane);
  return lane;
}
inline Lanes broadcast(std::uint32_t value) { return value; }
inline Lanes iota(std::uint32_t first) { return first; }
inline std::uint32_t less(Lanes a, Lanes b) { return a < b; }
inline Lanes subtract(Lanes a, Lanes b) { return a - b; }
inline Lanes flip_negative(Lanes a) { return a ^ (0u - (a >> 31)) >> 1; }
inline void compress(std::uint32_t* to, Lanes lane, std::uint32_t) { *to = lane; }

inline std::uint64_t nonzero_bytes(const std::uint8_t* from) {
  std::uint64_t word = 0;
  for (int j = 0; j < 64; ++j) word |= std::uint64_t{from[j] != 0} << j;
  return word;
}

inline void store_flags(std::uint8_t* to, std::uint64_t bits) {
  for (int j = 0; j < 64; ++j) to[j] = bits >> j & 1;
}

inline void add_from(std::int64_t* numbers, std::size_t place, std::int64_t change) {
  for (std::size_t j = 0; j < 8; ++j) numbers[j] += change & -std::int64_t{j >= place};
}

inline std::size_t count_at_most(const std::int64_t* from, std::int64_t limit) {
  std::size_t count = 0;
  for (int j = 0; j < 8; ++j) count += from[j] <= limit;
  return count;
}

#endif

#if !defined(__AVX512F__)
inline std::size_t count_sums_at_most(const std::int64_t* from, std::int64_t limit) {
  std::int64_t sum = 0;
  std::size_t count = 0;
  for (int j = 0; j < 8; ++j) {
    sum += from[j];
    count += sum <= limit;
  }
  return count;
}
#endif

// The lower `kLanes` bits of a mask.
constexpr std::uint32_t kAllLanes = (1u << kLanes) - 1;

// Stores first + j for the set bits j of `word`, in order; returns how many. Room for 64 is needed.
inline std::size_t store_ids(std::uint64_t word, std::uint32_t first, std::uint32_t* to) {
  std::size_t filled = 0;
  for (int lane = 0; lane < 64; lane += kLanes) {
    const auto mask = static_cast<std::uint32_t>(word >> lane & ((std::uint64_t{1} << kLanes) - 1));
    compress(to + filled, iota(first + static_cast<std::uint32_t>(lane)), mask);
    filled += static_cast<std::size_t>(__builtin_popcount(mask));
  }
  return filled;
}

}  // namespace
}  // namespace dynsample::DYNSAMPLE_ISA_NAME
