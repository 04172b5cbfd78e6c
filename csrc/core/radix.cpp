#include "core/radix.h"

#include <algorithm>
#include <mutex>
#include <numeric>

#include "core/chunks.h"
#include "core/dispatch.h"

namespace dynsample {
namespace {

std::size_t total_of(const std::vector<std::size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::size_t{0});
}

}  // namespace

std::size_t count_eligible(const Rows& rows) {
  if (!rows.where && !rows.finite_only && !rows.keys) return rows.size;
  const Chunks chunks(rows.size);
  std::vector<std::size_t> counts(chunks.count());
  chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    counts[chunk] = kernels().select.count(rows, first, last);
  });
  return total_of(counts);
}

std::vector<std::uint32_t> key_histogram(const Rows& rows, const std::uint32_t* prefix) {
  std::vector<std::uint32_t> sum(kDigits);
  std::mutex mutex;
  Chunks(rows.size).run([&](std::size_t, std::size_t first, std::size_t last) {
    std::vector<std::uint32_t> counts(kDigits);
    if (prefix) {
      kernels().select.lower_histogram(rows, first, last, *prefix, counts.data());
    } else {
      kernels().select.upper_histogram(rows, first, last, counts.data());
    }
    const std::lock_guard<std::mutex> lock(mutex);
    for (std::size_t j = 0; j < kDigits; ++j) sum[j] += counts[j];
  });
  return sum;
}

Split Tally::total() const { return {total_of(below), total_of(equal)}; }

Tally tally(const Rows& rows, std::uint32_t key) {
  const Chunks chunks(rows.size);
  Tally found{key, chunks, std::vector<std::size_t>(chunks.count()),
              std::vector<std::size_t>(chunks.count())};
  chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    const Split split = kernels().select.tally(rows, first, last, key);
    found.below[chunk] = split.below;
    found.equal[chunk] = split.inside;
  });
  return found;
}

void mark(const Rows& rows, const Tally& tally, std::size_t ties, std::uint8_t* hidden) {
  std::vector<std::size_t> first_ties(tally.equal.size());
  for (std::size_t chunk = 0; chunk < first_ties.size(); ++chunk) {
    first_ties[chunk] = std::min(ties, tally.equal[chunk]);
    ties -= first_ties[chunk];
  }
  tally.chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    kernels().select.mark(rows, first, last, tally.key, first_ties[chunk], hidden);
  });
}

}  // namespace dynsample
