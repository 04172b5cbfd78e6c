// Rows and signals in call order, in memory that grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/buffer.h"

namespace dynsample {

constexpr std::int64_t kAnyPlan = -1;  // an observation that names no plan

// Observations from `begin` on, to the next of these, that name a plan.
struct Named {
  std::size_t begin;
  std::int64_t plan;
};

class Observations {
 public:
  explicit Observations(std::size_t num_signals)
      : signals_(num_signals), binary_(num_signals, true) {}

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return rows_.size(); }
  std::size_t num_signals() const { return signals_.size(); }
  std::span<const std::uint32_t> rows() const { return {rows_.data(), size_}; }
  std::span<const float> signal(std::size_t s) const { return {signals_[s].data(), size_}; }
  // Whether every observation of a signal is 0 or 1; values of all signals that are not finite.
  bool binary(std::size_t s) const { return binary_[s]; }
  std::size_t non_finite() const { return non_finite_; }
  // Which plans observations name: none before the first of these.
  std::span<const Named> named() const { return named_; }

  // Makes room for `capacity` observations in all; what is there stays.
  void reserve(std::size_t capacity);

  // Where the rows of the next observations are to be written; they count once they are added.
  // There must be room, and signals[s] points to `count` floats.
  std::uint32_t* next_rows() { return rows_.data() + size_; }
  void add(std::span<const float* const> signals, std::size_t count, std::int64_t plan = kAnyPlan);

  // Adds all of another; there must be room.
  void add(const Observations& other);

  void clear();

 private:
  void store(std::size_t s, const float* values, std::size_t count);
  void name(std::size_t begin, std::int64_t plan);

  std::size_t size_ = 0;  // the buffers are as long as their capacity; this much of them counts
  Buffer<std::uint32_t> rows_;
  std::vector<Buffer<float>> signals_;
  std::vector<char> binary_;
  std::size_t non_finite_ = 0;
  std::vector<Named> named_;
};

}  // namespace dynsample
