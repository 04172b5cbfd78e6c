#include "core/by_group.h"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "core/chunks.h"
#include "core/order_key.h"

namespace dynsample {
namespace {

constexpr std::size_t kThreadRows = std::size_t{1} << 18;

// Runs body(first, last, counts) on pieces of the rows, with counts of its own for each, and adds
// these up. A piece has more rows than counts, or adding these up would take longer than the rows.
template <class Count, class Add, class Body>
void add_up(std::size_t rows, std::span<Count> counts, const Add& add, const Body& body) {
  const Chunks chunks(rows, std::max(kThreadRows, counts.size()));
  std::vector<std::vector<Count>> others(chunks.count() - 1);
  chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    if (chunk == 0) return body(first, last, counts.data());
    others[chunk - 1].resize(counts.size());
    body(first, last, others[chunk - 1].data());
  });
  for (const std::vector<Count>& other : others) {
    for (std::size_t j = 0; j < counts.size(); ++j) add(counts[j], other[j]);
  }
}

constexpr auto kPlus = [](auto& into, const auto& other) { into += other; };

bool takes_part(const Rows& rows, std::size_t i, std::uint32_t bits) {
  return (!rows.where || rows.where[i]) && (!rows.finite_only || is_finite_bits(bits));
}

void add_row(WindowSums& sums, std::uint32_t bits) {
  if (!is_finite_bits(bits)) {
    const bool infinite = (bits & 0x7FFFFFFFu) == kInfinityBits;
    sums.nan += !infinite;
    sums.positive_infinity += infinite && !(bits >> 31);
    sums.negative_infinity += infinite && bits >> 31;
    return;
  }
  const std::uint32_t exponent = sum_exponent(bits);
  const std::int64_t term = sum_term(bits, exponent);
  sums.high[exponent >> 5] += term >> 32;
  sums.low[exponent >> 5] += term & 0xFFFFFFFF;
  ++sums.finite;
}

}  // namespace

void check_labels(Labels labels, std::size_t rows, std::size_t groups) {
  if (labels.size() != rows) {
    throw std::invalid_argument("labels must have " + std::to_string(rows) +
                                " rows, one for each value, got " + std::to_string(labels.size()));
  }
  std::uint32_t highest = 0;  // below zero: above all
  for (const std::int32_t label : labels) {
    highest = std::max(highest, static_cast<std::uint32_t>(label));
  }
  if (rows && highest >= groups) {
    throw std::invalid_argument("labels must be in [0, " + std::to_string(groups) + "), got " +
                                std::to_string(static_cast<std::int32_t>(highest)));
  }
}

void write_keys(const Rows& rows, std::span<std::uint32_t> keys) {
  check_num_rows(rows.size);
  Chunks(rows.size, kThreadRows).run([&](std::size_t, std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(rows.values[i]);
      keys[i] = takes_part(rows, i, bits) ? order_key(bits) : kNotEligibleKey;
    }
  });
}

void count_digits(std::span<const std::uint32_t> keys, Labels labels, unsigned round,
                  std::span<const std::uint32_t> prefixes, std::span<std::uint32_t> counts) {
  std::ranges::fill(counts, 0);
  const unsigned shift = 32 - kGroupDigitBits * (round + 1);
  const auto place = [=](std::size_t i) {
    return static_cast<std::size_t>(labels[i]) * kGroupDigits +
           (keys[i] >> shift & (kGroupDigits - 1));
  };
  add_up(keys.size(), counts, kPlus, [&](std::size_t first, std::size_t last, auto* here) {
    if (round == 0) {
      for (std::size_t i = first; i < last; ++i) here[place(i)] += keys[i] != kNotEligibleKey;
      return;
    }
    const auto inside = [&](std::size_t i) {
      const std::uint32_t prefix = prefixes[static_cast<std::size_t>(labels[i])];
      return keys[i] >> (shift + kGroupDigitBits) == prefix;
    };
    if (round == 1) {  // a coin would decide a branch: half of the values have one exponent
      for (std::size_t i = first; i < last; ++i) here[place(i)] += inside(i);
      return;
    }
    for (std::size_t i = first; i < last; ++i) {
      if (inside(i)) ++here[place(i)];
    }
  });
}

KthDigit kth_digit(std::span<const std::uint32_t, kGroupDigits> counts, std::int64_t k) {
  KthDigit found = {0, 0, 0};
  for (const std::uint32_t count : counts) found.total += count;
  k = std::min(k, found.total);
  while (k > 0 && found.below + counts[found.digit] < k) found.below += counts[found.digit++];
  return found;
}

void mark_by_group(std::span<const std::uint32_t> keys, Labels labels, const GroupBounds& bounds,
                   std::span<std::uint8_t> mask) {
  Chunks(keys.size(), kThreadRows).run([&](std::size_t, std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      mask[i] = keys[i] < bounds.below[static_cast<std::size_t>(labels[i])];
    }
  });
  std::vector<std::uint32_t> left(bounds.ties.begin(), bounds.ties.end());
  if (std::ranges::none_of(left, [](std::uint32_t ties) { return ties > 0; })) return;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto group = static_cast<std::size_t>(labels[i]);
    if (keys[i] != bounds.equal[group] || !left[group]) continue;
    mask[i] = 1;
    --left[group];
  }
}

std::vector<std::int64_t> count_by_group(std::span<const std::uint8_t> mask, Labels labels,
                                         std::size_t groups) {
  std::vector<std::int64_t> counts(groups);
  add_up(labels.size(), std::span(counts), kPlus,
         [&](std::size_t first, std::size_t last, std::int64_t* here) {
           for (std::size_t i = first; i < last; ++i) {
             here[labels[i]] += mask.empty() || mask[i];
           }
         });
  return counts;
}

std::vector<WindowSums> sums_by_group(const Rows& rows, Labels labels, std::size_t groups) {
  check_num_rows(rows.size);
  std::vector<WindowSums> sums(groups);
  add_up(rows.size, std::span(sums), merge,
         [&](std::size_t first, std::size_t last, WindowSums* here) {
           for (std::size_t i = first; i < last; ++i) {
             const auto bits = std::bit_cast<std::uint32_t>(rows.values[i]);
             if (takes_part(rows, i, bits)) add_row(here[labels[i]], bits);
           }
         });
  return sums;
}

}  // namespace dynsample
