#include "core/draw.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>

#include "core/dispatch.h"
#include "core/kth_key.h"
#include "core/order.h"
#include "core/random.h"

namespace dynsample {
namespace {

constexpr std::uint32_t kFewCopies = 4;  // of a row, stored whatever its count
static_assert(kFewCopies <= kStoreSlack);

// The sum of values that are finite and not negative, independent of their order: integer sums by
// exponent (24 bits each, below 2^56), added from the largest exponent down.
double ordered_sum(std::span<const float> values, float substitute) {
  std::uint64_t sums[256] = {};
  for (const float value : values) {
    const auto bits = std::bit_cast<std::uint32_t>(std::isfinite(value) ? value : substitute);
    const std::uint32_t exponent = bits >> 23 & 0xFF, fraction = bits & 0x7FFFFF;
    sums[exponent] += exponent ? fraction | 0x800000 : fraction;
  }
  double sum = 0;
  for (int exponent = 254; exponent >= 0; --exponent) {
    sum += std::ldexp(static_cast<double>(sums[exponent]), std::max(exponent, 1) - 150);
  }
  return sum;
}

std::uint64_t high_product(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(a) * b >> 64);
}

// Pointers that lie in [0, y) of the circle cut open at U.
std::uint64_t pointers_below(std::uint64_t y, std::uint32_t k) {
  return std::min<std::uint64_t>(k, (y >> 32) + ((y & 0xFFFFFFFF) != 0));
}

// Where the circle of the systematic draw is cut open.
std::uint64_t start_of(const Rates& rates, std::uint64_t seed, std::uint32_t epoch) {
  const Philox4 word = philox(seed, 0, epoch, kDraw);
  return high_product(std::uint64_t{word.lane[1]} << 32 | word.lane[0], rates.total());
}

// Calls body(row, count) for all rows.
template <class Body>
void systematic(const Rates& rates, std::uint32_t k, std::uint64_t start, const Body& body) {
  const std::uint64_t before = rates.total() - start;  // length from U to the end of the circle
  const std::uint64_t skipped = pointers_below(before, k), at_start = k - skipped;
  std::uint64_t position = 0, last = 0;
  rates.for_blocks([&](std::size_t first, std::span<const std::uint64_t> block) {
    for (std::size_t j = 0; j < block.size(); ++j) {
      position += block[j];
      const bool passed = position >= start;  // where the pointers begin again
      const std::uint64_t seen = pointers_below(passed ? position - start : position + before, k) +
                                 (passed ? at_start : 0 - skipped);
      body(first + j, static_cast<std::uint32_t>(seen - last));
      last = seen;
    }
  });
}

void multinomial(const Rates& rates, std::uint32_t k, std::uint64_t seed, std::uint32_t epoch,
                 std::span<std::uint32_t> counts) {
  const std::size_t n = counts.size();
  Buffer<std::uint64_t> until(n);
  std::uint64_t sum = 0;
  rates.for_blocks([&](std::size_t first, std::span<const std::uint64_t> block) {
    for (std::size_t j = 0; j < block.size(); ++j) until[first + j] = sum += block[j];
  });
  // guide[b] = the first row that reaches beyond the start of bucket b.
  const int shift = std::max(
      0, static_cast<int>(std::bit_width(rates.total())) - static_cast<int>(std::bit_width(n)));
  Buffer<std::uint32_t> guide((rates.total() >> shift) + 2);
  std::size_t row = 0;
  for (std::size_t b = 0; b < guide.size(); ++b) {
    const auto edge = static_cast<unsigned __int128>(b) << shift;
    while (row < n - 1 && until[row] <= edge) ++row;
    guide[b] = static_cast<std::uint32_t>(row);
  }
  std::fill(counts.begin(), counts.end(), 0);
  constexpr std::size_t kBatch = 512;
  std::uint32_t words[2 * kBatch];
  for (std::uint32_t first = 0; first < k;) {
    const auto here = static_cast<std::uint32_t>(std::min<std::size_t>(kBatch, k - first));
    kernels().random.fill(seed, first / 2, epoch, kMultinomial, (here + 1) / 2, words);
    for (std::uint32_t j = 0; j < here; ++j) {
      const std::uint64_t uniform = std::uint64_t{words[2 * j + 1]} << 32 | words[2 * j];
      const std::uint64_t x = high_product(uniform, rates.total());
      const std::uint32_t* at = &guide[x >> shift];
      ++counts[static_cast<std::size_t>(
          std::upper_bound(until.begin() + at[0], until.begin() + at[1], x) - until.begin())];
    }
    first += here;
  }
}

}  // namespace

Probabilities check_probabilities(std::span<const float> probabilities) {
  const Survey found = kernels().draw.survey(probabilities.data(), probabilities.size());
  if (found.negative) {
    const auto first =
        std::find_if(probabilities.begin(), probabilities.end(), [](float p) { return p < 0; });
    char text[32];
    std::snprintf(text, sizeof text, "%g", static_cast<double>(*first));
    throw std::invalid_argument("probabilities must not be negative, got " + std::string(text) +
                                " at " + std::to_string(first - probabilities.begin()));
  }
  return {found.largest > 0 ? found.largest : 1, found.positive};
}

Rates::Rates(std::span<const float> probabilities, std::uint32_t k)
    : probabilities_(probabilities), substitute_(check_probabilities(probabilities).substitute) {
  const double sum = ordered_sum(probabilities, substitute_);
  if (sum == 0 && k > 0) {
    throw std::invalid_argument("probabilities must have a positive entry to draw " +
                                std::to_string(k) + " from, got " +
                                std::to_string(probabilities.size()) + " entries without one");
  }
  // The factor outweighs the roundings (below 2^-44 together), so that R >= k * 2^32.
  scale_ = sum == 0 ? 0 : k * 0x1p32 / sum * (1 + 0x1p-40);
  for_blocks([this](std::size_t, std::span<const std::uint64_t> block) {
    for (const std::uint64_t rate : block) total_ += rate;
  });
}

std::size_t Rates::block(std::size_t first, std::array<std::uint64_t, kBlock>& rates) const {
  const std::size_t count = std::min(kBlock, size() - first);
  kernels().draw.rates(probabilities_.data() + first, count, substitute_, scale_, rates.data());
  return count;
}

void draw_counts(std::span<const float> probabilities, std::uint32_t k, std::uint64_t seed,
                 std::uint32_t epoch, DrawMethod method, std::span<std::uint32_t> counts) {
  const Rates rates(probabilities, k);
  if (k == 0) {
    std::fill(counts.begin(), counts.end(), 0);
  } else if (method == DrawMethod::kMultinomial) {
    multinomial(rates, k, seed, epoch, counts);
  } else {
    systematic(rates, k, start_of(rates, seed, epoch),
               [&](std::size_t row, std::uint32_t count) { counts[row] = count; });
  }
}

void draw(std::span<const float> probabilities, std::uint64_t seed, std::uint32_t epoch,
          DrawMethod method, std::span<std::int64_t> out) {
  const auto k = static_cast<std::uint32_t>(out.size());
  const Rates rates(probabilities, k);
  if (k == 0) return;
  KeyBuffer ids = key_buffer(k);
  std::uint32_t* next = ids.data();
  const auto append = [&next](std::size_t row, std::uint32_t count) {
    const auto id = static_cast<std::uint32_t>(row);
    std::fill_n(next, kFewCopies, id);  // no branch for the small counts, no two are alike
    if (count > kFewCopies) std::fill_n(next + kFewCopies, count - kFewCopies, id);
    next += count;
  };
  if (method == DrawMethod::kMultinomial) {
    std::vector<std::uint32_t> counts(probabilities.size());
    multinomial(rates, k, seed, epoch, counts);
    for (std::size_t row = 0; row < counts.size(); ++row) append(row, counts[row]);
  } else {
    systematic(rates, k, start_of(rates, seed, epoch), append);
  }
  order_slice(make_permutation(k, seed, epoch, kDrawOrder), {ids.data(), k}, 0, out);
}

void inverse_probabilities(std::span<const float> probabilities, std::uint32_t k,
                           std::span<float> out) {
  const Rates rates(probabilities, k);
  const auto n = static_cast<double>(out.size()), total = static_cast<double>(rates.total());
  rates.for_blocks([&](std::size_t first, std::span<const std::uint64_t> block) {
    for (std::size_t j = 0; j < block.size(); ++j) {
      const auto rate = static_cast<double>(block[j]);
      out[first + j] = block[j] ? static_cast<float>(total / (n * rate)) : 0;
    }
  });
}

}  // namespace dynsample
