#include "core/random.h"

#include "core/isa/isa.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

void fill_blocks(std::uint64_t seed, std::uint64_t first, std::uint32_t epoch, std::uint32_t stream,
                 std::size_t blocks, std::uint32_t* out) {
  for (std::size_t j = 0; j < blocks; ++j) {
    const Philox4 word = philox(seed, first + j, epoch, stream);
    for (int lane = 0; lane < 4; ++lane) out[4 * j + lane] = word.lane[lane];
  }
}

#if defined(__SSE2__)

// One block to a 64-bit lane. The product reads the low half of a lane only, so that the high half
// may hold anything; this is what the compiler cannot see by itself.
#if defined(__AVX512F__)
constexpr std::size_t kLanes = 8;
#define DYNSAMPLE_MULTIPLY(a, b) (Lanes) _mm512_maskz_mul_epu32(0xFF, (__m512i)(a), (__m512i)(b))
#elif defined(__AVX2__)
constexpr std::size_t kLanes = 4;
#define DYNSAMPLE_MULTIPLY(a, b) (Lanes) _mm256_mul_epu32((__m256i)(a), (__m256i)(b))
#else
constexpr std::size_t kLanes = 2;
#define DYNSAMPLE_MULTIPLY(a, b) (Lanes) _mm_mul_epu32((__m128i)(a), (__m128i)(b))
#endif
typedef unsigned long long Lanes __attribute__((vector_size(8 * kLanes)));

inline Lanes all(std::uint64_t x) { return Lanes{} + x; }

void fill(std::uint64_t seed, std::uint64_t first, std::uint32_t epoch, std::uint32_t stream,
          std::size_t blocks, std::uint32_t* out) {
  Lanes lane, even, odd;  // and the places of the halves of a block in a pair of vectors
  for (std::size_t j = 0; j < kLanes; ++j) {
    lane[j] = j;
    even[j] = j / 2 + (j % 2 ? kLanes : 0);
    odd[j] = even[j] + kLanes / 2;
  }
  const std::size_t whole = blocks / kLanes * kLanes;
  const Lanes low_half = all(0xFFFFFFFF);
  for (std::size_t j = 0; j < whole; j += kLanes) {
    const Lanes index = all(first + j) + lane;
    Lanes c0 = index, c1 = index >> 32, c2 = all(epoch), c3 = all(stream);
    std::uint32_t k0 = static_cast<std::uint32_t>(seed);
    std::uint32_t k1 = static_cast<std::uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const Lanes p0 = DYNSAMPLE_MULTIPLY(c0, all(0xD2511F53));
      const Lanes p1 = DYNSAMPLE_MULTIPLY(c2, all(0xCD9E8D57));
      c0 = (p1 >> 32) ^ c1 ^ all(k0);
      c1 = p1;
      c2 = (p0 >> 32) ^ c3 ^ all(k1);
      c3 = p0;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    const Lanes front = (c0 & low_half) | c1 << 32, back = (c2 & low_half) | c3 << 32;
    const Lanes lower = __builtin_shuffle(front, back, even);
    const Lanes upper = __builtin_shuffle(front, back, odd);
    __builtin_memcpy(out + 4 * j, &lower, sizeof lower);
    __builtin_memcpy(out + 4 * j + 2 * kLanes, &upper, sizeof upper);
  }
  fill_blocks(seed, first + whole, epoch, stream, blocks - whole, out + 4 * whole);
}

#else
constexpr auto fill = fill_blocks;
#endif

}  // namespace

extern const RandomKernels random_kernels;
const RandomKernels random_kernels = {fill};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
