#include "cuda/launch.h"
#include "cuda/order.h"
#include "cuda/row_of.h"

namespace dynsample::cuda {
namespace {

template <bool fitted>
DYNSAMPLE_DEVICE std::uint32_t walk(const Permutation& p, std::uint32_t x) {
  do {
    auto high = static_cast<std::uint16_t>(x >> p.low_bits);
    auto low = static_cast<std::uint16_t>(x & ((1u << p.low_bits) - 1));
    for (int round = 0; round < kPermuteRounds; round += 2) {
      permute_forward<fitted>(p, round, high, low);
    }
    x = std::uint32_t{high} << p.low_bits | low;
  } while (x >= p.n);
  return x;
}

template <bool fitted>
struct Gather {
  Permutation permutation;
  const std::uint32_t* ids;
  std::uint32_t first;
  std::uint32_t* out;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    const std::uint32_t rank = walk<fitted>(permutation, first + static_cast<std::uint32_t>(i));
    out[i] = ids ? ids[rank] : rank;
  }
};

template <bool fitted>
struct Mark {
  Permutation permutation;
  std::uint32_t first;
  std::uint8_t* mask;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    mask[walk<fitted>(permutation, first + static_cast<std::uint32_t>(i))] = 1;
  }
};

struct Repeat {
  const std::uint64_t* until;
  std::size_t num_rows;
  std::uint32_t* out;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    out[i] = static_cast<std::uint32_t>(row_of(until, num_rows, i));
  }
};

}  // namespace

void order_slice(const Permutation& permutation, const std::uint32_t* ids, std::uint32_t first,
                 std::size_t size, std::uint32_t* out, Stream stream) {
  if (permutation.fitted()) {
    for_each("the order", size, Gather<true>{permutation, ids, first, out}, stream);
  } else {
    for_each("the order", size, Gather<false>{permutation, ids, first, out}, stream);
  }
}

void mark_slice(const Permutation& permutation, std::uint32_t first, std::size_t size,
                std::uint8_t* mask, Stream stream) {
  if (permutation.fitted()) {
    for_each("a walk", size, Mark<true>{permutation, first, mask}, stream);
  } else {
    for_each("a walk", size, Mark<false>{permutation, first, mask}, stream);
  }
}

void repeat_rows(const std::uint64_t* until, std::size_t num_rows, std::size_t size,
                 std::uint32_t* out, Stream stream) {
  for_each("rows by counts", size, Repeat{until, num_rows, out}, stream);
}

}  // namespace dynsample::cuda
