#include "core/draw.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "core/dispatch.h"
#include "core/kth_key.h"
#include "core/order.h"
#include "core/random.h"
#include "core/rate.h"

namespace dynsample {
namespace {

constexpr std::uint32_t kFewCopies = 4;  // of a row, stored whatever its count
static_assert(kFewCopies <= kStoreSlack);

// The rates are worked out anew in each pass: they add up to the same total, or another thread
// writes to the probabilities.
[[noreturn]] void refuse_change() {
  throw std::runtime_error("probabilities changed while they were read");
}

// Calls body(row, count) for all rows of a part.
template <class Body>
void systematic(const Rates& part, std::uint64_t before, const Pointers pointers,
                const Body& body) {
  const std::uint64_t end = before + part.total();
  std::uint64_t position = before, last = pointers.until(position);
  part.for_blocks([&](std::size_t first, std::span<const std::uint64_t> block) {
    for (std::size_t j = 0; j < block.size(); ++j) {
      if (block[j] > end - position) refuse_change();
      position += block[j];
      const std::uint64_t seen = pointers.until(position);
      body(first + j, static_cast<std::uint32_t>(seen - last));
      last = seen;
    }
  });
  if (position != end) refuse_change();
}

// Finds the row of a part that a point lies in.
class Lookup {
 public:
  explicit Lookup(const Rates& part) : until_(part.size()) {
    std::uint64_t sum = 0;
    part.for_blocks([&](std::size_t first, std::span<const std::uint64_t> block) {
      for (std::size_t j = 0; j < block.size(); ++j) until_[first + j] = sum += block[j];
    });
    if (sum != part.total()) refuse_change();
    const std::size_t n = until_.size();
    shift_ = std::max(
        0, static_cast<int>(std::bit_width(part.total())) - static_cast<int>(std::bit_width(n)));
    // guide[b] = the first row that reaches beyond the start of bucket b.
    guide_.resize((part.total() >> shift_) + 2);
    std::size_t row = 0;
    for (std::size_t b = 0; b < guide_.size(); ++b) {
      const auto edge = static_cast<unsigned __int128>(b) << shift_;
      while (row + 1 < n && until_[row] <= edge) ++row;
      guide_[b] = static_cast<std::uint32_t>(row);
    }
  }

  std::size_t operator()(std::uint64_t point) const {
    const std::uint32_t* at = &guide_[point >> shift_];
    return static_cast<std::size_t>(
        std::upper_bound(until_.begin() + at[0], until_.begin() + at[1], point) - until_.begin());
  }

 private:
  Buffer<std::uint64_t> until_;
  Buffer<std::uint32_t> guide_;
  int shift_;
};

void multinomial(const Rates& rates, std::uint32_t k, std::uint64_t seed, std::uint32_t epoch,
                 std::span<std::uint32_t> counts) {
  const Lookup row_of(rates);
  std::fill(counts.begin(), counts.end(), 0);
  constexpr std::uint32_t kBatch = 512;
  std::array<std::uint64_t, kBatch> points;
  for (std::uint32_t first = 0; first < k;) {
    const std::span here(points.data(), std::min(kBatch, k - first));
    multinomial_points(rates.total(), seed, epoch, first, here);
    for (const std::uint64_t point : here) ++counts[row_of(point)];
    first += static_cast<std::uint32_t>(here.size());
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

ExponentSums exponent_sums(std::span<const float> probabilities, float substitute) {
  ExponentSums sums = {};
  for (const float value : probabilities) {
    const ProbabilityUnits found = units_of(value, substitute);
    sums[found.exponent] += found.units;
  }
  return sums;
}

RateScale rate_scale(const ExponentSums& sums, float substitute, std::uint32_t k) {
  double sum = 0;
  for (int exponent = 254; exponent >= 0; --exponent) {  // from the largest down
    sum += std::ldexp(static_cast<double>(sums[exponent]), std::max(exponent, 1) - 150);
  }
  if (sum == 0 && k > 0) {
    throw std::invalid_argument("probabilities must have a positive entry to draw " +
                                std::to_string(k) + " from, got none");
  }
  // The factor outweighs the roundings (below 2^-44 together), so that R >= k * 2^32.
  return {substitute, sum == 0 ? 0 : k * 0x1p32 / sum * (1 + 0x1p-40)};
}

Rates::Rates(std::span<const float> probabilities, RateScale scale)
    : probabilities_(probabilities), scale_(scale) {
  for_blocks([this](std::size_t, std::span<const std::uint64_t> block) {
    for (const std::uint64_t rate : block) total_ += rate;
  });
}

RateScale rate_scale(std::span<const float> probabilities, std::uint32_t k) {
  const float substitute = check_probabilities(probabilities).substitute;
  return rate_scale(exponent_sums(probabilities, substitute), substitute, k);
}

Rates::Rates(std::span<const float> probabilities, std::uint32_t k)
    : Rates(probabilities, rate_scale(probabilities, k)) {}

std::size_t Rates::block(std::size_t first, std::array<std::uint64_t, kBlock>& rates) const {
  const std::size_t count = std::min(kBlock, size() - first);
  kernels().draw.rates(probabilities_.data() + first, count, scale_.substitute, scale_.scale,
                       rates.data());
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
    systematic_counts(rates, {0, rates.total()}, k, seed, epoch, counts);
  }
}

void systematic_counts(const Rates& part, Interval interval, std::uint32_t k, std::uint64_t seed,
                       std::uint32_t epoch, std::span<std::uint32_t> counts) {
  systematic(part, interval.before, make_pointers(interval.total, k, seed, epoch),
             [&](std::size_t row, std::uint32_t count) { counts[row] = count; });
}

void multinomial_points(std::uint64_t total, std::uint64_t seed, std::uint32_t epoch,
                        std::uint32_t first, std::span<std::uint64_t> points) {
  if (first % 2) throw std::invalid_argument("first must be even");
  constexpr std::size_t kBatch = 512;
  std::array<std::uint32_t, 2 * kBatch> words;
  for (std::size_t at = 0; at < points.size(); at += kBatch) {
    const std::size_t here = std::min(kBatch, points.size() - at);
    kernels().random.fill(seed, (first + at) / 2, epoch, kMultinomial, (here + 1) / 2,
                          words.data());
    for (std::size_t j = 0; j < here; ++j) {
      points[at + j] = point_below(total, words[2 * j], words[2 * j + 1]);
    }
  }
}

void count_points(const Rates& part, std::uint64_t before, std::span<const std::uint64_t> points,
                  std::span<std::uint32_t> counts) {
  std::fill(counts.begin(), counts.end(), 0);
  if (points.empty()) return;
  const Lookup row_of(part);
  for (const std::uint64_t point : points) {
    if (point - before >= part.total()) throw std::invalid_argument("a point is in another part");
    ++counts[row_of(point - before)];
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
    systematic(rates, 0, make_pointers(rates.total(), k, seed, epoch), append);
  }
  order_slice(make_permutation(k, seed, epoch, kDrawOrder), {ids.data(), k}, 0, out);
}

void inverse_probabilities(const Rates& part, std::uint64_t total, std::size_t num_rows,
                           std::span<float> out) {
  const auto n = static_cast<double>(num_rows), sum = static_cast<double>(total);
  part.for_blocks([&](std::size_t first, std::span<const std::uint64_t> block) {
    for (std::size_t j = 0; j < block.size(); ++j) {
      out[first + j] = inverse_probability(sum, n, block[j]);
    }
  });
}

}  // namespace dynsample
