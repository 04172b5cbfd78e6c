#include "cuda/launch.h"
#include "cuda/primitives.h"

#if defined(__CUDACC__)

#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>

#include <cub/cub.cuh>

namespace dynsample::cuda {
namespace {

// CUB says how much scratch it needs when it is asked with none.
template <class Call>
void with_scratch(const char* what, const Call& call, Scratch& scratch, Stream stream) {
  const Current current(stream);
  std::size_t size = 0;
  check(call(nullptr, size), what);
  check(call(scratch.array<char>(size), size), what);
}

// Items of one CUB call: its counts are 32-bit in older versions.
constexpr std::size_t kMostItems = std::size_t{1} << 31;

void check_size(std::size_t size) {
  if (size >= kMostItems) throw std::invalid_argument("a GPU call takes less than 2^31 items");
}

struct IsSet {
  const std::uint8_t* mask;
  bool invert;
  __device__ bool operator()(std::uint32_t i) const { return (mask[i] != 0) != invert; }
};

struct Widen {
  __device__ std::uint64_t operator()(std::uint32_t value) const { return value; }
};

}  // namespace

void sort_pairs(const std::uint32_t* keys, std::uint32_t* sorted_keys, const std::uint32_t* values,
                std::uint32_t* sorted_values, std::size_t size, int bits, Scratch& scratch,
                Stream stream) {
  check_size(size);
  with_scratch(
      "a sort",
      [&](void* memory, std::size_t& bytes) {
        return cub::DeviceRadixSort::SortPairs(memory, bytes, keys, sorted_keys, values,
                                               sorted_values, static_cast<int>(size), 0, bits,
                                               native(stream));
      },
      scratch, stream);
}

void inclusive_sum(const std::uint64_t* values, std::uint64_t* sums, std::size_t size,
                   Scratch& scratch, Stream stream) {
  check_size(size);
  with_scratch(
      "a scan",
      [&](void* memory, std::size_t& bytes) {
        return cub::DeviceScan::InclusiveSum(memory, bytes, values, sums, static_cast<int>(size),
                                             native(stream));
      },
      scratch, stream);
}

void inclusive_sum(const std::uint32_t* values, std::uint64_t* sums, std::size_t size,
                   Scratch& scratch, Stream stream) {
  check_size(size);
  const auto wide = thrust::make_transform_iterator(values, Widen{});
  with_scratch(
      "a scan",
      [&](void* memory, std::size_t& bytes) {
        return cub::DeviceScan::InclusiveSum(memory, bytes, wide, sums, static_cast<int>(size),
                                             native(stream));
      },
      scratch, stream);
}

void select_ids(const std::uint8_t* mask, bool invert, std::size_t size, std::uint32_t* ids,
                std::uint32_t* count, Scratch& scratch, Stream stream) {
  check_size(size);
  const thrust::counting_iterator<std::uint32_t> all(0);
  with_scratch(
      "a selection",
      [&](void* memory, std::size_t& bytes) {
        return cub::DeviceSelect::If(memory, bytes, all, ids, count, static_cast<int>(size),
                                     IsSet{mask, invert}, native(stream));
      },
      scratch, stream);
}

}  // namespace dynsample::cuda

#else

#include <algorithm>
#include <numeric>
#include <vector>

namespace dynsample::cuda {

void sort_pairs(const std::uint32_t* keys, std::uint32_t* sorted_keys, const std::uint32_t* values,
                std::uint32_t* sorted_values, std::size_t size, int bits, Scratch&, Stream) {
  const std::uint32_t mask = bits < 32 ? (1u << bits) - 1 : 0xFFFFFFFFu;
  std::vector<std::size_t> order(size);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return (keys[a] & mask) < (keys[b] & mask);
  });
  for (std::size_t i = 0; i < size; ++i) {
    sorted_keys[i] = keys[order[i]];
    sorted_values[i] = values[order[i]];
  }
}

void inclusive_sum(const std::uint64_t* values, std::uint64_t* sums, std::size_t size, Scratch&,
                   Stream) {
  std::partial_sum(values, values + size, sums);
}

void inclusive_sum(const std::uint32_t* values, std::uint64_t* sums, std::size_t size, Scratch&,
                   Stream) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < size; ++i) sums[i] = sum += values[i];
}

void select_ids(const std::uint8_t* mask, bool invert, std::size_t size, std::uint32_t* ids,
                std::uint32_t* count, Scratch&, Stream) {
  *count = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if ((mask[i] != 0) != invert) ids[(*count)++] = static_cast<std::uint32_t>(i);
  }
}

}  // namespace dynsample::cuda

#endif
