// The observations of an epoch that are not folded yet, in call order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "core/buffer.h"

namespace dynsample {

// Rows and signals as they came; append is the cost of a training step, everything else waits for
// the fold. Memory grows geometrically, 4 bytes a row and 4 a signal. Calls may come from several
// threads; a fold holds `mutex()` while it reads.
class ObservationLog {
 public:
  // `max_bytes` bounds what it holds.
  ObservationLog(std::size_t num_samples, std::size_t num_signals, std::size_t max_bytes);

  // Appends one batch: signals[s] points to index.size() floats. Throws std::out_of_range for an id
  // outside of the ids, std::invalid_argument for one that was not issued, std::length_error beyond
  // the bound; nothing is appended then.
  template <class Id>
  void append(std::span<const Id> index, std::span<const float* const> signals);

  // Replaces the content; `rows` are rows of the table.
  void restore(std::span<const std::uint32_t> rows, std::span<const float* const> signals);

  // Borrowed maps, empty for none: id -> row (-1 for an id that is not there), and whether a row
  // was issued.
  void set_rows(std::span<const std::int32_t> row_of);
  void set_allowed(std::span<const std::uint8_t> allowed);

  void reserve(std::size_t count);
  void clear();

  std::size_t size() const { return size_; }
  std::size_t num_samples() const { return num_samples_; }
  std::size_t num_signals() const { return signals_.size(); }
  std::span<const std::uint32_t> rows() const { return {rows_.data(), size_}; }
  std::span<const float> signal(std::size_t s) const { return {signals_[s].data(), size_}; }
  // Whether every observation of a signal is 0 or 1; values of all signals that are not finite.
  bool binary(std::size_t s) const { return binary_[s]; }
  std::size_t non_finite() const { return non_finite_; }

  std::mutex& mutex() { return mutex_; }

  // Working memory of a fold, kept from one to the next: fresh pages cost as much as half a fold.
  Buffer<std::uint32_t>& scratch() { return scratch_; }

 private:
  void grow(std::size_t count);
  void store(std::size_t s, const float* values, std::size_t count);
  template <class Id>
  [[noreturn]] void refuse(std::span<const Id> index) const;

  std::size_t num_samples_, max_rows_;
  std::size_t size_ = 0;  // the vectors are as long as their capacity; this much of them counts
  Buffer<std::uint32_t> rows_;
  std::vector<Buffer<float>> signals_;
  std::vector<char> binary_;
  std::size_t non_finite_ = 0;
  Buffer<std::uint32_t> scratch_;
  std::span<const std::int32_t> row_of_;
  std::span<const std::uint8_t> allowed_;
  std::mutex mutex_;
};

}  // namespace dynsample
