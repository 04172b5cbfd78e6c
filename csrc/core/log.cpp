#include "core/log.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/snapshot.h"

namespace dynsample {
namespace {

constexpr std::size_t kFirstRows = 4096;

using Lock = std::lock_guard<std::mutex>;

std::string nth(std::int64_t id, std::size_t row) {
  return "id " + std::to_string(id) + " (row " + std::to_string(row) + " of the batch)";
}

}  // namespace

ObservationLog::ObservationLog(std::size_t num_samples, std::size_t num_signals,
                               std::size_t max_bytes)
    : num_samples_(num_samples),
      max_rows_(max_bytes / (sizeof(std::uint32_t) + num_signals * sizeof(float))),
      open_(num_signals),
      closed_(num_signals) {
  if (num_samples > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument("num_samples must be in [0, 2**32), got " +
                                std::to_string(num_samples));
  }
}

template <class Id>
void ObservationLog::append(std::span<const Id> index, std::span<const float* const> signals,
                            std::int64_t plan) {
  const Lock lock(mutex_);
  const std::size_t count = open_.size() + index.size();
  check_size(closed_.size() + count);
  if (count > open_.capacity()) open_.reserve(grown(count, open_.capacity()));
  take_rows(index, plan, open_.next_rows());
  open_.add(signals, index.size(), plan);
}

// Writes the rows of ids, or throws. The index may be changing: what is checked is what was
// written.
template <class Id>
void ObservationLog::take_rows(std::span<const Id> index, std::int64_t plan,
                               std::uint32_t* rows) const {
  const std::size_t count = index.size();
  const std::uint64_t ids = num_ids();
  std::uint64_t high = 0;  // looked at once: the loops stay free of branches, and as wide as a row
  for (std::size_t j = 0; j < count; ++j) {
    const auto id = static_cast<std::uint64_t>(static_cast<std::int64_t>(index[j]));
    high |= id;
    rows[j] = static_cast<std::uint32_t>(id);
  }
  read_no_more();
  std::uint32_t bad = high >> 32 || (count && !ids);
  const auto last = static_cast<std::uint32_t>(ids - 1);
  for (std::size_t j = 0; j < count; ++j) bad |= rows[j] > last;
  if (!bad && row_of_) {
    const std::int32_t* const row_of = row_of_->data();
    for (std::size_t j = 0; j < count; ++j) {
      const std::int32_t row = row_of[rows[j]];
      bad |= row < 0;
      rows[j] = static_cast<std::uint32_t>(row);
    }
  }
  const Allowed allowed = allowed_of(plan);
  if (!bad && allowed.data()) {
    for (std::size_t j = 0; j < count; ++j) bad |= !allowed[rows[j]];
  }
  if (bad) refuse(index, plan);
}

// Names the first id at fault.
template <class Id>
void ObservationLog::refuse(std::span<const Id> index, std::int64_t plan) const {
  const Allowed allowed = allowed_of(plan);
  for (std::size_t j = 0; j < index.size(); ++j) {
    const std::int64_t id = read_once(index[j]);
    if (static_cast<std::uint64_t>(id) >= num_ids()) {
      throw std::out_of_range("index must be in [0, " + std::to_string(num_ids()) + "), got " +
                              nth(id, j));
    }
    const std::int64_t row = row_of_ ? (*row_of_)[static_cast<std::size_t>(id)] : id;
    if (row < 0) throw std::invalid_argument(nth(id, j) + " was not issued: not in the subset");
    if (allowed.data() && !allowed[static_cast<std::size_t>(row)]) {
      const std::string where = plan != kAnyPlan      ? "epoch " + std::to_string(plan)
                                : open_plans_.empty() ? "this epoch"
                                                      : "an epoch that is open";
      throw std::invalid_argument(nth(id, j) + " was not issued in " + where);
    }
  }
  throw std::runtime_error("index changed while it was read");
}

template <class Id>
void ObservationLog::rows_of(std::span<const Id> index, std::span<std::uint32_t> rows) const {
  if (rows.size() != index.size()) throw std::invalid_argument("rows must be as many as ids");
  const Lock lock(mutex_);
  take_rows(index, kAnyPlan, rows.data());
}

template <class Id>
void ObservationLog::weights(std::span<const Id> index, std::span<const float> weights,
                             std::span<float> out) const {
  if (weights.data() && weights.size() != num_samples_) {
    throw std::invalid_argument("weights must have " + std::to_string(num_samples_) +
                                " entries, got " + std::to_string(weights.size()));
  }
  std::vector<std::uint32_t> rows(index.size());
  rows_of(index, rows);
  if (!weights.data()) {
    std::ranges::fill(out, 1.0f);
  } else {
    for (std::size_t j = 0; j < rows.size(); ++j) out[j] = weights[rows[j]];
  }
}

template void ObservationLog::append(std::span<const std::int32_t>, std::span<const float* const>,
                                     std::int64_t);
template void ObservationLog::append(std::span<const std::int64_t>, std::span<const float* const>,
                                     std::int64_t);
template void ObservationLog::rows_of(std::span<const std::int32_t>,
                                      std::span<std::uint32_t>) const;
template void ObservationLog::rows_of(std::span<const std::int64_t>,
                                      std::span<std::uint32_t>) const;
template void ObservationLog::weights(std::span<const std::int32_t>, std::span<const float>,
                                      std::span<float>) const;
template void ObservationLog::weights(std::span<const std::int64_t>, std::span<const float>,
                                      std::span<float>) const;

void ObservationLog::close() {
  const Lock reading(reading_);
  const Lock lock(mutex_);
  if (closed_.size() == 0) return std::swap(open_, closed_);
  const std::size_t count = closed_.size() + open_.size();
  if (count > closed_.capacity()) closed_.reserve(grown(count, closed_.capacity()));
  closed_.add(open_);
  open_.clear();
}

void ObservationLog::drop_closed(bool folded) { drop_closed(folded, reading()); }

void ObservationLog::drop_closed(bool folded, const Reading&) {
  const Lock lock(mutex_);
  if (folded) num_folded_ += closed_.size();
  closed_.clear();
  // Few observations came since the close: they go to the larger memory, where the next epoch's
  // have room. So the memory of one epoch is enough, and its pages are warm.
  if (closed_.capacity() > open_.capacity()) {
    closed_.add(open_);
    open_.clear();
    std::swap(open_, closed_);
  }
}

void ObservationLog::clear() {
  const Lock reading(reading_);
  const Lock lock(mutex_);
  open_.clear();
  closed_.clear();
  num_folded_ = 0;
}

void ObservationLog::restore(std::span<const std::uint32_t> rows,
                             std::span<const float* const> signals, std::size_t num_folded) {
  check_size(rows.size());
  Observations restored(num_signals());
  restored.reserve(rows.size());
  snapshot(rows.data(), rows.size(), restored.next_rows());
  restored.add(signals, rows.size());
  for (const std::uint32_t row : restored.rows()) {
    if (row >= num_samples_) {
      throw std::out_of_range("index must be in [0, " + std::to_string(num_samples_) + "), got " +
                              std::to_string(row));
    }
  }
  const Lock reading(reading_);
  const Lock lock(mutex_);
  open_.clear();
  closed_ = std::move(restored);
  num_folded_ = num_folded;
}

void ObservationLog::set_rows(std::optional<std::span<const std::int32_t>> row_of) {
  std::optional<Buffer<std::int32_t>> copy;
  if (row_of) copy = snapshot(row_of->data(), row_of->size());
  for (std::size_t id = 0; copy && id < copy->size(); ++id) {
    const std::int32_t row = (*copy)[id];
    if (row < -1 || row >= static_cast<std::int64_t>(num_samples_)) {
      throw std::invalid_argument("row_of must hold -1 or rows below " +
                                  std::to_string(num_samples_) + ", got " + std::to_string(row) +
                                  " for id " + std::to_string(id));
    }
  }
  const Lock lock(mutex_);
  row_of_.swap(copy);
}

void ObservationLog::set_allowed(Allowed allowed, std::vector<Open> open) {
  check_allowed(allowed);
  for (const Open& one : open) check_allowed(one.allowed);
  const Lock lock(mutex_);
  allowed_ = allowed;
  open_plans_.swap(open);
}

void ObservationLog::check_allowed(Allowed allowed) const {
  if (allowed.data() && allowed.size() != num_samples_) {
    throw std::invalid_argument("allowed must have " + std::to_string(num_samples_) +
                                " rows, got " + std::to_string(allowed.size()));
  }
}

ObservationLog::Allowed ObservationLog::allowed_of(std::int64_t plan) const {
  if (plan == kAnyPlan) return allowed_;
  const auto found = std::ranges::find(open_plans_, plan, &Open::plan);
  if (found == open_plans_.end()) {
    throw std::invalid_argument("epoch " + std::to_string(plan) + " is not open");
  }
  return found->allowed;
}

void ObservationLog::check_size(std::size_t count) const {
  if (count > max_rows_) {
    throw std::length_error("a log of " + std::to_string(count) + " observations is beyond the " +
                            std::to_string(max_rows_) + " that max_log_bytes allows");
  }
}

// A capacity for `count` observations or more, so that a log grows in few steps.
std::size_t ObservationLog::grown(std::size_t count, std::size_t capacity) const {
  return std::min(std::max({count, kFirstRows, capacity + capacity / 2}), max_rows_);
}

void ObservationLog::reserve(std::size_t count) {
  const Lock lock(mutex_);
  open_.reserve(count);
}

std::size_t ObservationLog::size() const {
  const Lock lock(mutex_);
  return closed_.size() + open_.size();
}

std::size_t ObservationLog::num_closed() const {
  const Lock lock(mutex_);
  return closed_.size();
}

std::size_t ObservationLog::num_folded() const {
  const Lock lock(mutex_);
  return num_folded_;
}

}  // namespace dynsample
