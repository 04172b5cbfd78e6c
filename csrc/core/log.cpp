#include "core/log.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

namespace dynsample {
namespace {

constexpr std::size_t kFirstRows = 4096;

std::string nth(std::int64_t id, std::size_t row) {
  return "id " + std::to_string(id) + " (row " + std::to_string(row) + " of the batch)";
}

}  // namespace

ObservationLog::ObservationLog(std::size_t num_samples, std::size_t num_signals,
                               std::size_t max_bytes)
    : num_samples_(num_samples),
      max_rows_(max_bytes / (sizeof(std::uint32_t) + num_signals * sizeof(float))),
      signals_(num_signals),
      binary_(num_signals, true) {
  if (num_samples > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument("num_samples must be in [0, 2**32), got " +
                                std::to_string(num_samples));
  }
}

template <class Id>
void ObservationLog::append(std::span<const Id> index, std::span<const float* const> signals) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::size_t count = index.size();
  grow(size_ + count);
  std::uint32_t* rows = rows_.data() + size_;
  const std::uint64_t ids = row_of_.data() ? row_of_.size() : num_samples_;
  bool bad = false;  // looked at once: the loops stay free of branches
  for (std::size_t j = 0; j < count; ++j) {
    bad |= static_cast<std::uint64_t>(static_cast<std::int64_t>(index[j])) >= ids;
    rows[j] = static_cast<std::uint32_t>(index[j]);
  }
  if (!bad && row_of_.data()) {
    for (std::size_t j = 0; j < count; ++j) {
      const std::int32_t row = row_of_[rows[j]];
      bad |= row < 0;
      rows[j] = static_cast<std::uint32_t>(row);
    }
  }
  if (!bad && allowed_.data()) {
    for (std::size_t j = 0; j < count; ++j) bad |= !allowed_[rows[j]];
  }
  if (bad) refuse(index);
  for (std::size_t s = 0; s < signals_.size(); ++s) store(s, signals[s], count);
  size_ += count;
}

template void ObservationLog::append(std::span<const std::int32_t>, std::span<const float* const>);
template void ObservationLog::append(std::span<const std::int64_t>, std::span<const float* const>);

// Names the first id at fault.
template <class Id>
void ObservationLog::refuse(std::span<const Id> index) const {
  const std::uint64_t ids = row_of_.data() ? row_of_.size() : num_samples_;
  for (std::size_t j = 0; j < index.size(); ++j) {
    const std::int64_t id = index[j];
    if (static_cast<std::uint64_t>(id) >= ids) {
      throw std::out_of_range("index must be in [0, " + std::to_string(ids) + "), got " +
                              nth(id, j));
    }
    const std::int64_t row = row_of_.data() ? row_of_[id] : id;
    if (row < 0) throw std::invalid_argument(nth(id, j) + " was not issued: not in the subset");
    if (allowed_.data() && !allowed_[row]) {
      throw std::invalid_argument(nth(id, j) + " was not issued in this epoch");
    }
  }
  throw std::logic_error("the index changed while it was read");
}

void ObservationLog::restore(std::span<const std::uint32_t> rows,
                             std::span<const float* const> signals) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::uint32_t row : rows) {
    if (row >= num_samples_) {
      throw std::out_of_range("index must be in [0, " + std::to_string(num_samples_) + "), got " +
                              std::to_string(row));
    }
  }
  size_ = 0;
  grow(rows.size());
  std::copy(rows.begin(), rows.end(), rows_.begin());
  binary_.assign(binary_.size(), true);
  non_finite_ = 0;
  for (std::size_t s = 0; s < signals_.size(); ++s) store(s, signals[s], rows.size());
  size_ = rows.size();
}

// Writes after the last observation.
void ObservationLog::store(std::size_t s, const float* values, std::size_t count) {
  float* const to = signals_[s].data() + size_;
  if (count) std::memcpy(to, values, count * sizeof(float));
  bool other = false;
  std::uint32_t non_finite = 0;
  for (std::size_t j = 0; j < count; ++j) {
    const auto bits = std::bit_cast<std::uint32_t>(to[j]);
    other |= bits != 0 && bits != std::bit_cast<std::uint32_t>(1.0f);
    non_finite += (bits & 0x7F800000) == 0x7F800000;
  }
  if (other) binary_[s] = false;
  non_finite_ += non_finite;
}

void ObservationLog::set_rows(std::span<const std::int32_t> row_of) {
  for (std::size_t id = 0; id < row_of.size(); ++id) {
    if (row_of[id] < -1 || row_of[id] >= static_cast<std::int64_t>(num_samples_)) {
      throw std::invalid_argument("row_of must hold -1 or rows below " +
                                  std::to_string(num_samples_) + ", got " +
                                  std::to_string(row_of[id]) + " for id " + std::to_string(id));
    }
  }
  row_of_ = row_of;
}

void ObservationLog::set_allowed(std::span<const std::uint8_t> allowed) {
  if (allowed.data() && allowed.size() != num_samples_) {
    throw std::invalid_argument("allowed must have " + std::to_string(num_samples_) +
                                " rows, got " + std::to_string(allowed.size()));
  }
  allowed_ = allowed;
}

void ObservationLog::grow(std::size_t count) {
  if (count <= rows_.size()) return;
  if (count > max_rows_) {
    throw std::length_error("a log of " + std::to_string(count) + " observations is beyond the " +
                            std::to_string(max_rows_) + " that max_log_bytes allows");
  }
  const std::size_t size =
      std::min(std::max({count, kFirstRows, rows_.size() + rows_.size() / 2}), max_rows_);
  for (Buffer<float>& signal : signals_) signal.resize(size);
  rows_.resize(size);  // last: its length is what says that all have grown
}

void ObservationLog::reserve(std::size_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (count <= rows_.size()) return;
  for (Buffer<float>& signal : signals_) signal.resize(count);
  rows_.resize(count);
}

void ObservationLog::clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_ = 0;
  binary_.assign(binary_.size(), true);
  non_finite_ = 0;
}

}  // namespace dynsample
