#include "core/match.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/buffer.h"

namespace dynsample {
namespace {

using Rows = std::span<const std::uint32_t>;

void check_rows(Rows rows, std::size_t num_rows) {
  const auto highest = std::ranges::max_element(rows);
  if (highest != rows.end() && *highest >= num_rows) {
    throw std::out_of_range("rows must be in [0, " + std::to_string(num_rows) + "), got " +
                            std::to_string(*highest));
  }
}

// How many observations from the first on are in the order of issue.
std::size_t in_order(Rows issued, Rows observed) {
  const auto found = std::ranges::mismatch(issued, observed);
  return static_cast<std::size_t>(found.in2 - observed.begin());
}

// What was issued and was not observed yet: parts of what was issued, in its order.
class Open {
 public:
  explicit Open(Rows issued) : parts_{issued}, looks_(2 * issued.size()) {}

  const std::vector<Rows>& parts() const { return parts_; }

  // Takes what the observations begin with, as far as it lies together in here, and gives its size:
  // 0 when the first is not found, or not soon enough.
  std::size_t take(Rows observed) {
    if (!begins_with(parts_[at_], observed[0]) && !find(observed[0])) return 0;
    const std::size_t size = in_order(parts_[at_], observed);
    parts_[at_] = parts_[at_].subspan(size);
    return size;
  }

 private:
  static bool begins_with(Rows part, std::uint32_t row) { return !part.empty() && part[0] == row; }

  // Every part that begins elsewhere costs a look at all of them, and a place in between.
  static constexpr std::size_t kMostParts = 1024;

  // Has a part begin with the row, from the present one on if possible.
  bool find(std::uint32_t row) {
    if (parts_.size() == kMostParts) return false;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const std::size_t k = (at_ + i) % parts_.size();
      const Rows part = parts_[k], seen = part.first(std::min(part.size(), looks_));
      const auto place = static_cast<std::size_t>(std::ranges::find(seen, row) - seen.begin());
      looks_ -= place;
      if (place == seen.size()) continue;
      parts_[k] = part.first(place);
      at_ = k + 1;
      parts_.insert(parts_.begin() + static_cast<std::ptrdiff_t>(at_), part.subspan(place));
      return true;
    }
    return false;
  }

  std::vector<Rows> parts_;
  std::size_t at_ = 0;  // the part where the last run ended
  std::size_t looks_;   // rows that may be looked at in searches
};

// One bit a row: it was issued, and was not observed yet.
bool each_once(const std::vector<Rows>& issued, Rows observed, std::size_t num_rows) {
  Buffer<std::uint64_t> open;
  open.assign((num_rows + 63) / 64, 0);
  for (const Rows part : issued) {
    for (const std::uint32_t row : part) open[row / 64] |= std::uint64_t{1} << row % 64;
  }
  std::uint64_t missed = 0;
  for (const std::uint32_t row : observed) {
    const std::uint64_t word = open[row / 64], bit = std::uint64_t{1} << row % 64;
    missed |= ~word & bit;
    open[row / 64] = word & ~bit;
  }
  return missed == 0;
}

// One count a row: how often it was issued and was not observed yet.
bool as_often(const std::vector<Rows>& issued, Rows observed, std::size_t num_rows) {
  Buffer<std::uint32_t> open;
  open.assign(num_rows, 0);
  for (const Rows part : issued) {
    for (const std::uint32_t row : part) ++open[row];
  }
  bool missed = false;
  for (const std::uint32_t row : observed) missed |= open[row]-- == 0;
  return !missed;
}

}  // namespace

bool all_issued(Rows issued, Rows observed, std::size_t num_rows, bool unique) {
  if (observed.size() > issued.size()) return false;
  // Most of it is in runs of batches; one bit or count a row decides about what is not.
  Open open(issued);
  while (!observed.empty()) {
    const std::size_t taken = open.take(observed);
    if (!taken) {
      for (const Rows part : open.parts()) check_rows(part, num_rows);
      check_rows(observed, num_rows);
      return (unique ? each_once : as_often)(open.parts(), observed, num_rows);
    }
    observed = observed.subspan(taken);
  }
  return true;
}

namespace {

// A list for each row of the places where it was issued, ascending.
class Lists {
 public:
  Lists(Rows issued, std::size_t num_rows) : next_(issued.size()) {
    first_.assign(num_rows, 0);
    for (std::size_t i = issued.size(); i-- > 0;) {
      next_[i] = first_[issued[i]];
      first_[issued[i]] = static_cast<std::uint32_t>(i + 1);
    }
  }

  // Takes the first place of a row out of its list; -1 when there is none.
  std::int64_t take(std::uint32_t row) { return take_from(first_[row]); }

  // The first one in [begin, end).
  std::int64_t take(std::uint32_t row, std::size_t begin, std::size_t end) {
    std::uint32_t* link = &first_[row];
    while (*link != 0 && *link <= begin) link = &next_[*link - 1];
    return *link <= end ? take_from(*link) : -1;
  }

 private:
  std::int64_t take_from(std::uint32_t& link) {
    const std::int64_t place = std::int64_t{link} - 1;
    if (link != 0) link = next_[link - 1];
    return place;
  }

  // A place is one more than its number, and 0 ends a list.
  Buffer<std::uint32_t> first_, next_;
};

void check_match(Rows issued, Rows observed, std::size_t num_rows,
                 std::span<const std::int64_t> places) {
  if (places.size() != observed.size()) {
    throw std::invalid_argument("places must have one entry per observation");
  }
  if (issued.size() >= UINT32_MAX) throw std::length_error("more rows were issued than 2^32 - 2");
  check_rows(issued, num_rows);
  check_rows(observed, num_rows);
}

}  // namespace

std::size_t match(Rows issued, Rows observed, std::size_t num_rows,
                  std::span<std::int64_t> places) {
  check_match(issued, observed, num_rows, places);
  Lists lists(issued, num_rows);
  std::size_t unmatched = 0;
  for (std::size_t j = 0; j < observed.size(); ++j) {
    places[j] = lists.take(observed[j]);
    unmatched += places[j] < 0;
  }
  return unmatched;
}

std::size_t match(Rows issued, std::span<const std::size_t> starts, Rows observed,
                  std::span<const std::int32_t> plans, std::size_t num_rows,
                  std::span<std::int64_t> places) {
  check_match(issued, observed, num_rows, places);
  if (plans.size() != observed.size()) {
    throw std::invalid_argument("plans must have one entry per observation");
  }
  if (starts.empty() || starts.front() != 0 || starts.back() != issued.size() ||
      !std::ranges::is_sorted(starts)) {
    throw std::invalid_argument("starts must ascend from 0 to the end of what was issued");
  }
  const auto highest = std::ranges::max_element(plans);
  if (highest != plans.end() && *highest + std::int64_t{1} >= std::ssize(starts)) {
    throw std::out_of_range("plans must be below " + std::to_string(starts.size() - 1) + ", got " +
                            std::to_string(*highest));
  }
  Lists lists(issued, num_rows);
  std::size_t unmatched = 0;
  for (std::size_t j = 0; j < observed.size(); ++j) {
    const auto plan = static_cast<std::size_t>(std::max(plans[j], 0));
    places[j] = plans[j] < 0 ? lists.take(observed[j])
                             : lists.take(observed[j], starts[plan], starts[plan + 1]);
    unmatched += places[j] < 0;
  }
  return unmatched;
}

}  // namespace dynsample
