#include "core/match.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace dynsample {
namespace {

// Observations in the order of issue, with some left out; right when no row was issued twice.
bool in_order(std::span<const std::uint32_t> issued, std::span<const std::uint32_t> observed,
              std::span<std::int64_t> places) {
  std::size_t i = 0;
  for (std::size_t j = 0; j < observed.size(); ++j, ++i) {
    while (i < issued.size() && issued[i] != observed[j]) ++i;
    if (i == issued.size()) return false;
    places[j] = static_cast<std::int64_t>(i);
  }
  return true;
}

// Row in the upper half, place in the lower, ascending.
std::vector<std::uint64_t> sorted(std::span<const std::uint32_t> rows) {
  std::vector<std::uint64_t> out(rows.size());
  for (std::size_t j = 0; j < rows.size(); ++j) out[j] = std::uint64_t{rows[j]} << 32 | j;
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

std::size_t match(std::span<const std::uint32_t> issued, std::span<const std::uint32_t> observed,
                  bool unique, std::span<std::int64_t> places) {
  if (places.size() != observed.size()) {
    throw std::invalid_argument("places must have one entry per observation");
  }
  if (unique && in_order(issued, observed, places)) return 0;
  const std::vector<std::uint64_t> left = sorted(issued), right = sorted(observed);
  std::size_t i = 0, unmatched = 0;
  for (const std::uint64_t entry : right) {
    while (i < left.size() && left[i] >> 32 < entry >> 32) ++i;
    const bool found = i < left.size() && left[i] >> 32 == entry >> 32;
    places[entry & 0xFFFFFFFF] = found ? static_cast<std::int64_t>(left[i++] & 0xFFFFFFFF) : -1;
    unmatched += !found;
  }
  return unmatched;
}

}  // namespace dynsample
