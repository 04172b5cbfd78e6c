#include "core/observations.h"

#include <algorithm>
#include <bit>

#include "core/snapshot.h"

namespace dynsample {

void Observations::reserve(std::size_t capacity) {
  if (capacity <= rows_.size()) return;
  for (Buffer<float>& signal : signals_) signal.resize(capacity);
  rows_.resize(capacity);  // last: its length is what says that all have grown
}

void Observations::add(std::span<const float* const> signals, std::size_t count,
                       std::int64_t plan) {
  name(size_, plan);
  for (std::size_t s = 0; s < signals_.size(); ++s) store(s, signals[s], count);
  size_ += count;
}

void Observations::add(const Observations& other) {
  name(size_, kAnyPlan);
  for (const auto [begin, plan] : other.named_) name(size_ + begin, plan);
  std::copy_n(other.rows_.data(), other.size_, next_rows());
  for (std::size_t s = 0; s < signals_.size(); ++s) store(s, other.signals_[s].data(), other.size_);
  size_ += other.size_;
}

// Notes that the observations from `begin` on name a plan.
void Observations::name(std::size_t begin, std::int64_t plan) {
  if (plan != (named_.empty() ? kAnyPlan : named_.back().plan)) named_.push_back({begin, plan});
}

// Writes after the last observation.
void Observations::store(std::size_t s, const float* values, std::size_t count) {
  float* const to = signals_[s].data() + size_;
  snapshot(values, count, to);
  std::uint32_t other = 0, non_finite = 0;
  for (std::size_t j = 0; j < count; ++j) {
    const auto bits = std::bit_cast<std::uint32_t>(to[j]);
    other |= (bits != 0) & (bits != std::bit_cast<std::uint32_t>(1.0f));
    non_finite += (bits & 0x7F800000) == 0x7F800000;
  }
  if (other) binary_[s] = false;
  non_finite_ += non_finite;
}

void Observations::clear() {
  size_ = 0;
  named_.clear();
  binary_.assign(binary_.size(), true);
  non_finite_ = 0;
}

}  // namespace dynsample
