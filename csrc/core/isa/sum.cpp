#include "core/isa/sum.h"

#include "core/isa/isa.h"
#include "core/isa/rows.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

using std::int64_t;
using std::size_t;
using std::uint32_t;

// A term is below 2^(24 + 31): 256 of them fit a signed 64-bit sum.
constexpr size_t kBlock = 256;

// Sign and magnitude of the rows of a block; 0 for those that do not take part or are not finite.
struct Block {
  uint32_t bits[kBlock];
  uint32_t windows;  // bit w: some row is in window w
};

template <class Reader>
void read_block(const Reader& reader, size_t begin, size_t n, Block& block, WindowSums* sums) {
  uint32_t finite = 0, special = 0, windows = 0;
  for (size_t j = 0; j < n; ++j) {
    const uint32_t bits = reader.bits(begin + j);
    const bool part = reader.takes_part(begin + j), usual = is_finite_bits(bits);
    finite += part & usual;
    special += part & !usual;
    const uint32_t kept = part & usual ? bits : 0;
    block.bits[j] = kept;
    windows |= kept << 1 ? 1u << (sum_exponent(kept) >> 5) : 0;
  }
  for (size_t j = n; j < kBlock; ++j) block.bits[j] = 0;
  block.windows = windows;
  sums->finite += finite;
  if (!special) return;
  for (size_t j = 0; j < n; ++j) {
    const uint32_t bits = reader.bits(begin + j);
    if (!reader.takes_part(begin + j) || is_finite_bits(bits)) continue;
    const bool infinite = (bits & 0x7FFFFFFFu) == kInfinityBits;
    sums->nan += !infinite;
    sums->positive_infinity += infinite && !(bits >> 31);
    sums->negative_infinity += infinite && bits >> 31;
  }
}

int64_t window_sum(const Block& block, uint32_t window) {
  int64_t sum = 0;
  for (size_t j = 0; j < kBlock; ++j) {
    const uint32_t bits = block.bits[j], exponent = sum_exponent(bits);
    sum += exponent >> 5 == window ? sum_term(bits, exponent) : 0;
  }
  return sum;
}

void add(const Rows& rows, size_t begin, size_t end, WindowSums* sums) {
  with_reader(rows, [=](auto reader) {
    Block block;
    for (size_t i = begin; i < end; i += kBlock) {
      read_block(reader, i, end - i < kBlock ? end - i : kBlock, block, sums);
      for (uint32_t left = block.windows; left; left &= left - 1) {
        const auto window = static_cast<uint32_t>(__builtin_ctz(left));
        const int64_t sum = window_sum(block, window);
        sums->high[window] += sum >> 32;
        sums->low[window] += sum & 0xFFFFFFFF;
      }
    }
  });
}

KeyRange extremes(const Rows& rows, size_t begin, size_t end) {
  return with_reader(rows, [=](auto reader) {
    uint32_t low = kNotEligibleKey, high = 0;
    uint32_t block[kBlock];
    for (size_t start = begin; start < end; start += kBlock) {
      const size_t n = end - start < kBlock ? end - start : kBlock;
      for (size_t j = 0; j < n; ++j) block[j] = reader.key(start + j);
      for (size_t j = 0; j < n; ++j) {
        const uint32_t key = block[j], top = key == kNotEligibleKey ? 0 : key;
        low = key < low ? key : low;
        high = top > high ? top : high;
      }
    }
    return KeyRange{low, high};
  });
}

}  // namespace

extern const SumKernels sum_kernels;
const SumKernels sum_kernels = {add, extremes};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
