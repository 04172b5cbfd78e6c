#include "core/draw.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/order.h"
#include "core/random.h"
#include "core/rate.h"

namespace dynsample {
namespace {

constexpr std::size_t kThreadBlocks = Chunks::kMadeRows / Rates::kBlock;

// The rates are worked out anew in each pass: they add up to the same total, or another thread
// writes to the probabilities.
[[noreturn]] void refuse_change() {
  throw std::runtime_error("probabilities changed while they were read");
}

// Calls body(row, count) for the rows of the blocks [first, last).
template <class Body>
void systematic(const Rates& part, std::uint64_t before, const Pointers& pointers,
                std::size_t first, std::size_t last, Body body) {
  std::uint64_t position = before + part.before(first), passed = pointers.until(position);
  Rates::Block rates;
  for (std::size_t b = first; b < last; ++b) {
    std::size_t row = b * Rates::kBlock;
    for (const std::uint64_t rate : part.block(b, rates)) {
      position += rate;
      const std::uint64_t seen = pointers.until(position);
      body(row++, static_cast<std::uint32_t>(seen - passed));
      passed = seen;
    }
  }
}

// Writes rows as often as they are drawn to [next, end), which others may write on beyond.
class Append {
 public:
  Append(std::uint32_t* next, std::uint32_t* end) : next_(next), end_(end) {}

  void operator()(std::size_t row, std::uint32_t count) {
    const auto id = static_cast<std::uint32_t>(row);
    const auto room = static_cast<std::size_t>(end_ - next_);
    if (count <= kFew && kFew <= room) {
      std::fill_n(next_, kFew, id);  // no branch for the small counts, no two are alike
    } else {
      if (count > room) refuse_change();
      std::fill_n(next_, count, id);
    }
    next_ += count;
  }

 private:
  static constexpr std::uint32_t kFew = 4;

  std::uint32_t *next_, *end_;
};

void append_systematic(const Rates& rates, const Pointers& pointers, std::uint32_t* ids) {
  const auto place = [&](std::size_t block) {
    return ids + (pointers.until(rates.before(block)) - pointers.until(0));
  };
  Chunks(rates.num_blocks(), kThreadBlocks)
      .run([&](std::size_t, std::size_t first, std::size_t last) {
        systematic(rates, 0, pointers, first, last, Append(place(first), place(last)));
      });
}

void append_counted(std::span<const std::uint32_t> counts, std::uint32_t* ids) {
  const Chunks chunks(counts.size(), Chunks::kMadeRows);
  std::vector<std::size_t> places(chunks.count() + 1);
  chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    const auto here = counts.subspan(first, last - first);
    places[chunk + 1] = std::accumulate(here.begin(), here.end(), std::size_t{0});
  });
  std::partial_sum(places.begin(), places.end(), places.begin());
  chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    Append append(ids + places[chunk], ids + places[chunk + 1]);
    for (std::size_t row = first; row < last; ++row) append(row, counts[row]);
  });
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
  return {found.largest, found.positive};
}

ExponentSums exponent_sums(std::span<const float> probabilities, float substitute) {
  const Chunks chunks(probabilities.size(), Chunks::kMadeRows);
  // Neighbours often share their exponent: one after the other would wait for its sum.
  constexpr std::size_t kApart = 4;
  std::vector<std::array<ExponentSums, kApart>> parts(chunks.count());
  chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      const ProbabilityUnits found = units_of(probabilities[i], substitute);
      parts[chunk][i % kApart][found.exponent] += found.units;
    }
  });
  ExponentSums sums = {};
  for (const auto& part : parts) {
    for (const ExponentSums& some : part) {
      for (std::size_t e = 0; e < sums.size(); ++e) sums[e] += some[e];
    }
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

RateScale rate_scale(std::span<const float> probabilities, std::uint32_t k) {
  const float substitute = check_probabilities(probabilities).substitute();
  return rate_scale(exponent_sums(probabilities, substitute), substitute, k);
}

Rates::Rates(std::span<const float> probabilities, RateScale scale)
    : probabilities_(probabilities),
      scale_(scale),
      before_((probabilities.size() + kBlock - 1) / kBlock + 1) {
  before_[0] = 0;
  Chunks(num_blocks(), kThreadBlocks).run([&](std::size_t, std::size_t first, std::size_t last) {
    Block rates;
    for (std::size_t b = first; b < last; ++b) {
      const auto found = work_out(b, rates);
      before_[b + 1] = std::accumulate(found.begin(), found.end(), std::uint64_t{0});
    }
  });
  std::partial_sum(before_.begin(), before_.end(), before_.begin());
}

Rates::Rates(std::span<const float> probabilities, std::uint32_t k)
    : Rates(probabilities, rate_scale(probabilities, k)) {}

std::span<const std::uint64_t> Rates::work_out(std::size_t number, Block& rates) const {
  const std::size_t first = number * kBlock, count = std::min(kBlock, size() - first);
  kernels().draw.rates(probabilities_.data() + first, count, scale_.substitute, scale_.scale,
                       rates.data());
  return {rates.data(), count};
}

std::span<const std::uint64_t> Rates::block(std::size_t number, Block& rates) const {
  const auto found = work_out(number, rates);
  const std::uint64_t sum = std::accumulate(found.begin(), found.end(), std::uint64_t{0});
  if (sum != before_[number + 1] - before_[number]) refuse_change();
  return found;
}

void systematic_counts(const Rates& part, Interval interval, std::uint32_t k, std::uint64_t seed,
                       std::uint32_t epoch, std::span<std::uint32_t> counts) {
  const Pointers pointers = make_pointers(interval.total, k, seed, epoch);
  Chunks(part.num_blocks(), kThreadBlocks)
      .run([&](std::size_t, std::size_t first, std::size_t last) {
        systematic(part, interval.before, pointers, first, last,
                   [&](std::size_t row, std::uint32_t count) { counts[row] = count; });
      });
}

void draw(std::span<const float> probabilities, std::uint64_t seed, std::uint32_t epoch,
          DrawMethod method, std::span<std::int64_t> out) {
  const auto k = static_cast<std::uint32_t>(out.size());
  const Rates rates(probabilities, k);
  if (k == 0) return;
  Buffer<std::uint32_t> ids(k);
  if (method == DrawMethod::kMultinomial) {
    Buffer<std::uint32_t> counts(rates.size());
    multinomial_counts(rates, k, seed, epoch, counts);
    append_counted(counts, ids.data());
  } else {
    append_systematic(rates, make_pointers(rates.total(), k, seed, epoch), ids.data());
  }
  order_slice(make_permutation(k, seed, epoch, kDrawOrder), ids, 0, out);
}

void inverse_probabilities(const Rates& part, std::uint64_t total, std::size_t num_rows,
                           std::span<float> out) {
  const auto n = static_cast<double>(num_rows), sum = static_cast<double>(total);
  Chunks(part.num_blocks(), kThreadBlocks)
      .run([&](std::size_t, std::size_t first, std::size_t last) {
        Rates::Block rates;
        for (std::size_t b = first; b < last; ++b) {
          float* to = &out[b * Rates::kBlock];
          for (const std::uint64_t rate : part.block(b, rates)) {
            *to++ = inverse_probability(sum, n, rate);
          }
        }
      });
}

}  // namespace dynsample
