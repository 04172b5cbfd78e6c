#include "core/kth_key.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/dispatch.h"
#include "core/order_key.h"
#include "core/sample.h"

namespace dynsample {
namespace {

constexpr std::size_t kFew = 192;  // keys that are left to nth_element
constexpr std::size_t kSample = 128;

struct Range {
  std::uint32_t low, high;
};

// Where the k-th of `n` keys is likely to be.
Range guess(const std::uint32_t* keys, std::size_t n, std::size_t k) {
  std::uint32_t sample[kSample];
  const Positions positions(n, kSample);
  for (std::size_t j = 0; j < kSample; ++j) sample[j] = keys[positions[j]];
  const auto [low, high] = bracket(kSample, k, n, 4.0);
  std::nth_element(sample, sample + low - 1, sample + kSample);
  if (high > low) std::nth_element(sample + low, sample + high - 1, sample + kSample);
  return {low == 1 ? 0 : sample[low - 1], high == kSample ? kNotEligibleKey : sample[high - 1]};
}

}  // namespace

KeyBuffer key_buffer(std::size_t capacity) { return KeyBuffer(capacity + kStoreSlack); }

std::uint32_t kth_key(std::span<const std::uint32_t> keys, std::size_t k) {
  const SelectKernels& kernel = kernels().select;
  const std::uint32_t* source = keys.data();
  std::size_t n = keys.size();
  KeyBuffer held;  // what `source` points into after the first round
  while (n > kFew) {
    const Range range = guess(source, n, k);
    KeyBuffer inside = key_buffer(n);
    const Split found = kernel.narrow(source, n, range.low, range.high, inside.data());
    const bool hit = found.below < k && k <= found.below + found.inside;
    if (hit && range.low == range.high) return range.low;
    if (!hit || found.inside > n / 2) break;  // the sample misled, or ties fill the range
    k -= found.below;
    n = found.inside;
    held = std::move(inside);
    source = held.data();
  }
  std::vector<std::uint32_t> rest(source, source + n);
  const auto kth = rest.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(rest.begin(), kth, rest.end());
  return *kth;
}

}  // namespace dynsample
