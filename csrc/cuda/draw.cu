#include "core/race_key.h"
#include "core/rate.h"
#include "cuda/draw.h"
#include "cuda/launch.h"
#include "cuda/primitives.h"
#include "cuda/row_of.h"

namespace dynsample::cuda {
namespace {

struct RaceKeys {  // of four rows, which share a block of the generator
  const float* p;
  std::size_t size, first;
  std::uint32_t substitute;
  std::uint64_t seed;
  std::uint32_t epoch;
  std::uint32_t* keys;

  DYNSAMPLE_DEVICE void operator()(std::size_t four) const {
    const Philox4 words = philox(seed, first / 4 + four, epoch, kRace);
    for (unsigned lane = 0; lane < 4; ++lane) {
      const std::size_t i = 4 * four + lane;
      if (i < size) keys[i] = race_key(float_bits(p[i]), words.lane[lane], substitute);
    }
  }
};

struct RateOf {
  const float* p;
  float substitute;
  double scale;
  std::uint64_t* out;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    out[i] = rate_of(p[i], substitute, scale);
  }
};

DYNSAMPLE_DEVICE inline std::uint64_t rates_before(const std::uint64_t* until, std::size_t i) {
  return i ? until[i - 1] : 0;
}

struct Systematic {
  const std::uint64_t* until;
  std::uint64_t before;
  Pointers pointers;
  std::uint32_t* counts;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    const std::uint64_t seen = pointers.until(before + until[i]);
    const std::uint64_t last = pointers.until(before + rates_before(until, i));
    counts[i] = static_cast<std::uint32_t>(seen - last);
  }
};

// Calls body(j, point) for two draws j, j + 1 < size, which share a block of the generator.
template <class Body>
struct PairOfPoints {
  std::uint64_t total, seed;
  std::uint32_t epoch, first;
  std::size_t size;
  Body body;

  DYNSAMPLE_DEVICE void operator()(std::size_t pair) const {
    const Philox4 words = philox(seed, first / 2 + pair, epoch, kMultinomial);
    body(2 * pair, point_below(total, words.lane[0], words.lane[1]));
    if (2 * pair + 1 < size) {
      body(2 * pair + 1, point_below(total, words.lane[2], words.lane[3]));
    }
  }
};

struct StorePoint {
  std::uint64_t* points;
  DYNSAMPLE_DEVICE void operator()(std::size_t j, std::uint64_t point) const { points[j] = point; }
};

struct CountPoint {
  RatesPart whole;
  std::uint32_t* counts;
  DYNSAMPLE_DEVICE void operator()(std::size_t, std::uint64_t point) const {
    atomic_add(&counts[row_of(whole.until, whole.num_rows, point)], 1u);
  }
};

template <class Body>
void for_points(std::uint64_t total, std::uint64_t seed, std::uint32_t epoch, std::uint32_t first,
                std::size_t size, const Body& body, Stream stream) {
  for_each("multinomial points", (size + 1) / 2,
           PairOfPoints<Body>{total, seed, epoch, first, size, body}, stream);
}

struct CountGiven {
  RatesPart part;
  std::uint64_t before;
  const std::uint64_t* points;
  std::uint32_t* counts;
  std::uint32_t* strays;

  DYNSAMPLE_DEVICE void operator()(std::size_t j) const {
    const std::uint64_t point = points[j] - before;
    if (point >= rates_before(part.until, part.num_rows)) {
      atomic_or(strays, 1u);
    } else {
      atomic_add(&counts[row_of(part.until, part.num_rows, point)], 1u);
    }
  }
};

struct Inverse {
  const std::uint64_t* until;
  double total, num_rows;
  float* out;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    out[i] = inverse_probability(total, num_rows, until[i] - rates_before(until, i));
  }
};

}  // namespace

void race_keys(const float* p, std::size_t size, std::size_t first, float substitute,
               std::uint64_t seed, std::uint32_t epoch, std::uint32_t* keys, Stream stream) {
  for_each("race keys", (size + 3) / 4,
           RaceKeys{p, size, first, float_bits(substitute), seed, epoch, keys}, stream);
}

void cumulative_rates(const float* p, std::size_t size, float substitute, double scale,
                      std::uint64_t* until, Scratch& scratch, Stream stream) {
  if (!size) return;
  for_each("rates", size, RateOf{p, substitute, scale, until}, stream);
  inclusive_sum(until, until, size, scratch, stream);
}

void systematic_counts(RatesPart part, std::uint64_t before, std::uint64_t total, std::uint32_t k,
                       std::uint64_t seed, std::uint32_t epoch, std::uint32_t* counts,
                       Stream stream) {
  const Pointers pointers = make_pointers(total, k, seed, epoch);
  for_each("a systematic draw", part.num_rows, Systematic{part.until, before, pointers, counts},
           stream);
}

void multinomial_points(std::uint64_t total, std::uint64_t seed, std::uint32_t epoch,
                        std::uint32_t first, std::size_t size, std::uint64_t* points,
                        Stream stream) {
  for_points(total, seed, epoch, first, size, StorePoint{points}, stream);
}

void multinomial_counts(RatesPart whole, std::uint64_t total, std::uint32_t k, std::uint64_t seed,
                        std::uint32_t epoch, std::uint32_t* counts, Stream stream) {
  for_points(total, seed, epoch, 0, k, CountPoint{whole, counts}, stream);
}

bool count_points(RatesPart part, std::uint64_t before, const std::uint64_t* points,
                  std::size_t size, std::uint32_t* counts, Scratch& scratch, Stream stream) {
  if (!size) return true;
  auto* const strays = scratch.array<std::uint32_t>(1);
  fill_bytes(strays, 0, sizeof *strays, stream);
  for_each("counts of points", size, CountGiven{part, before, points, counts, strays}, stream);
  return fetch(strays, stream) == 0;
}

void inverse_probabilities(RatesPart part, std::uint64_t total, std::uint64_t all_rows, float* out,
                           Stream stream) {
  for_each("inverse probabilities", part.num_rows,
           Inverse{part.until, static_cast<double>(total), static_cast<double>(all_rows), out},
           stream);
}

}  // namespace dynsample::cuda
