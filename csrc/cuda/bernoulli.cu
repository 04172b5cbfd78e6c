#include "core/power.h"
#include "cuda/bernoulli.h"
#include "cuda/launch.h"

namespace dynsample::cuda {
namespace {

// What a CPU makes of a NaN; a GPU would forget which one it was.
DYNSAMPLE_DEVICE float quiet(float nan) { return float_of_bits(float_bits(nan) | 0x400000); }

struct Power {
  const float* values;
  Exponent exponent;
  float* out;
  std::uint32_t* first_negative;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    const float value = values[i];
    if (value < 0) {
      atomic_min(first_negative, static_cast<std::uint32_t>(i));
      return;
    }
    out[i] = value != value ? quiet(value) : static_cast<float>(power_of(value, exponent));
  }
};

struct Exp {
  const float* values;
  float* out;

  DYNSAMPLE_DEVICE void operator()(std::size_t i) const {
    const float value = values[i];
    out[i] = value != value ? quiet(value) : static_cast<float>(exp_of(value));
  }
};

struct CdfCounts {
  static constexpr int kThreads = 256;
  static constexpr std::size_t kTile = 4096;
  struct Shared {
    std::uint32_t counts[kCdfBins];
  };
  CdfPart part;
  std::uint64_t* counts;

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    std::uint32_t* const here = block.shared.counts;
    block.each([&](unsigned thread) {
      for (std::size_t bin = thread; bin < kCdfBins; bin += kThreads) here[bin] = 0;
    });
    block.each([&](unsigned thread) {
      const std::size_t step = std::size_t{block.count()} * kThreads;
      for (std::size_t i = std::size_t{block.index()} * kThreads + thread; i < part.size;
           i += step) {
        if (!cdf_takes_part(part.values, part.where, i)) continue;
        atomic_add(&here[part.range.bin(part.values[i])], 1u);
      }
    });
    block.each([&](unsigned thread) {
      for (std::size_t bin = thread; bin < kCdfBins; bin += kThreads) {
        if (here[bin]) atomic_add(&counts[bin], std::uint64_t{here[bin]});
      }
    });
  }
};

struct CdfKeep {  // of four rows, which share a block of the generator
  CdfPart part;
  const std::uint64_t* keep_below;
  std::uint64_t seed;
  std::uint32_t epoch;
  std::size_t first;
  std::uint8_t* kept;

  DYNSAMPLE_DEVICE void operator()(std::size_t four) const {
    const Philox4 words = philox(seed, first / 4 + four, epoch, kBernoulli);
    for (unsigned lane = 0; lane < 4; ++lane) {
      const std::size_t i = 4 * four + lane;
      if (i >= part.size) return;
      kept[i] = !cdf_takes_part(part.values, part.where, i) ||
                words.lane[lane] < keep_below[part.range.bin(part.values[i])];
    }
  }
};

}  // namespace

std::uint32_t power(const float* values, std::size_t size, double exponent, float* out,
                    Scratch& scratch, Stream stream) {
  if (!size) return kNoRow;
  auto* const first_negative = scratch.array<std::uint32_t>(1);
  fill_bytes(first_negative, 0xFF, sizeof *first_negative, stream);
  for_each("powers", size, Power{values, Exponent(exponent), out, first_negative}, stream);
  return fetch(first_negative, stream);
}

void exp(const float* values, std::size_t size, float* out, Stream stream) {
  for_each("exponentials", size, Exp{values, out}, stream);
}

void cdf_counts(const CdfPart& part, std::uint64_t* counts, Stream stream) {
  if (!part.size) return;
  launch("counts by bin", CdfCounts{part, counts}, blocks_for(part.size, CdfCounts::kTile, stream),
         stream);
}

void cdf_keep(const CdfPart& part, const std::uint64_t* keep_below, std::uint64_t seed,
              std::uint32_t epoch, std::size_t first, std::uint8_t* kept, Stream stream) {
  for_each("coins", (part.size + 3) / 4, CdfKeep{part, keep_below, seed, epoch, first, kept},
           stream);
}

}  // namespace dynsample::cuda
