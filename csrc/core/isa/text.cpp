#include "core/isa/text.h"

#include <cstdint>

#include "core/isa/isa.h"

#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

// Reads d.dddddddddddddddddde-0d in a part of the time of std::from_chars.
//
// The 19 digits are an integer m, and m * 10^-k = m * 5^-k * 2^-k. The product with the truncated
// fraction of 5^-k, of which the upper 128 bits are kept, is at most 2 too low in the lowest of
// them, so it rounds right unless that could carry through all the bits that are cut off. There are
// no ties: k is above 4 (Lemire, "Number parsing at a gigabyte per second", Software: Practice and
// Experience 2021, sections 5 and 9).

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

using std::size_t;
using std::uint64_t;
__extension__ using Wide = unsigned __int128;

// 5^-k as a 128-bit fraction: floor(2^(64 + shift) / 5^k), of which the highest bit is set.
struct Reciprocal {
  uint64_t high, low;
  int shift;
};
constexpr int kLeastPower = 18, kPowers = 10;
struct Reciprocals {
  Reciprocal of[kPowers];
};
constexpr Reciprocals kReciprocals = [] {
  Reciprocals table{};
  uint64_t power = 1;  // 5^27 is below 2^63
  for (int k = 1; k < kLeastPower + kPowers; ++k) {
    power *= 5;
    if (k < kLeastPower) continue;
    const int shift = 127 - __builtin_clzll(power);
    const Wide one = Wide{1} << shift, rest = one % power << 64;
    table.of[k - kLeastPower] = {static_cast<uint64_t>(one / power),
                                 static_cast<uint64_t>(rest / power), shift};
  }
  return table;
}();

#if defined(__SSE4_1__)

// The number that 16 digits are, in pairs, fours and eights; false when one of them is no digit.
bool sixteen_digits(const char* text, uint64_t& value) {
  const __m128i digits =
      _mm_sub_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(text)), _mm_set1_epi8('0'));
  const __m128i above = _mm_subs_epu8(digits, _mm_set1_epi8(9));
  if (!_mm_testz_si128(above, above)) return false;
  const __m128i pairs = _mm_maddubs_epi16(digits, _mm_set1_epi16(256 + 10));
  const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(65536 + 100));
  const __m128i packed = _mm_packus_epi32(fours, fours);
  const __m128i eights = _mm_madd_epi16(packed, _mm_set1_epi32(65536 + 10000));
  const auto both = static_cast<uint64_t>(_mm_cvtsi128_si64(eights));
  value = (both & 0xFFFFFFFF) * 100000000 + (both >> 32);
  return true;
}

#else

uint64_t load(const char* text) {
  uint64_t word;
  __builtin_memcpy(&word, text, sizeof word);
  return word;
}

// The number that eight digits are, first digit lowest in memory: pairs, then fours, then all.
uint64_t eight_digits(uint64_t word) {
  word -= 0x3030303030303030;
  word = (word & 0x0F0F0F0F0F0F0F0F) * 2561 >> 8;
  word = (word & 0x00FF00FF00FF00FF) * 6553601 >> 16;
  return (word & 0x0000FFFF0000FFFF) * 42949672960001 >> 32;
}

bool sixteen_digits(const char* text, uint64_t& value) {
  const uint64_t words[2] = {load(text), load(text + 8)};
  for (const uint64_t word : words) {
    const uint64_t above = word + 0x4646464646464646, below = word - 0x3030303030303030;
    if ((above | below) & 0x8080808080808080) return false;
  }
  value = eight_digits(words[0]) * 100000000 + eight_digits(words[1]);
  return true;
}

#endif

bool parse(const char* text, double& value) {
  const auto digit = [&](int at) { return static_cast<unsigned>(text[at]) - '0'; };
  uint64_t middle;
  if (!sixteen_digits(text + 2, middle)) return false;
  const unsigned first = digit(0), tens = digit(18), ones = digit(19), size = digit(23);
  if (first > 9 || tens > 9 || ones > 9 || size >= kPowers) return false;
  const bool form = text[1] == '.' && text[20] == 'e' && text[22] == '0' && text[24] == '\n' &&
                    (text[21] == '-' || (text[21] == '+' && size == 0));
  if (!form) return false;
  const uint64_t mantissa = first * uint64_t{1000000000000000000} + middle * 100 + tens * 10 + ones;
  if (mantissa == 0) {
    value = 0;
    return true;
  }
  const Reciprocal& power = kReciprocals.of[size];
  const int zeros = __builtin_clzll(mantissa);
  const uint64_t scaled = mantissa << zeros;
  const Wide product = Wide{scaled} * power.high + (Wide{scaled} * power.low >> 64);
  const auto upper = static_cast<uint64_t>(product >> 64);
  const auto lower = static_cast<uint64_t>(product);
  if ((upper & 0x1FF) == 0x1FF && lower + 2 < 2) return false;
  const int top = static_cast<int>(upper >> 63);
  const uint64_t rounded = ((upper >> (9 + top)) + 1) >> 1;  // 53 bits, or 2^53
  const int exponent = 74 + top - zeros - power.shift - (kLeastPower + static_cast<int>(size));
  const uint64_t bits =
      (static_cast<uint64_t>(exponent + 1075) << 52) + (rounded - (uint64_t{1} << 52));
  __builtin_memcpy(&value, &bits, sizeof value);
  return true;
}

size_t scientific(const char* text, size_t lines, double* out) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  for (size_t line = 0; line < lines; ++line) {
    if (!parse(text + line * kScientificLine, out[line])) return line;
  }
  return lines;
#else
  return 0;
#endif
}

}  // namespace

extern const TextKernels text_kernels;
const TextKernels text_kernels = {&scientific};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
