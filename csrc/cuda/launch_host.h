// The driver of cuda/launch.h on a CPU, for tests: one thread, blocks and threads in shuffled
// order.
#pragma once

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "cuda/launched.h"
#include "cuda/on_host.h"

namespace dynsample::cuda {

// A new order of [0, size) at every call.
inline std::vector<unsigned> shuffled(unsigned size) {
  thread_local std::minstd_rand random(1);
  std::vector<unsigned> order(size);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

template <class Shared, int kThreads>
class Block {
 public:
  template <class T>
  class PerThread {
   public:
    T& operator[](unsigned thread) { return values_[thread]; }

   private:
    std::vector<T> values_ = std::vector<T>(kThreads);
  };

  Block(Shared& memory, unsigned index, unsigned count)
      : shared(memory), index_(index), count_(count), order_(shuffled(kThreads)) {}
  unsigned index() const { return index_; }
  unsigned count() const { return count_; }

  template <class Body>
  void each(const Body& body) {
    for (const unsigned thread : order_) body(thread);
    std::rotate(order_.begin(), order_.begin() + 1, order_.end());
  }

  Shared& shared;

 private:
  unsigned index_, count_;
  std::vector<unsigned> order_;
};

template <class Kernel>
void launch(const char*, const Kernel& kernel, unsigned blocks, Stream) {
  using Shared = typename Kernel::Shared;
  launched<Kernel>.yet.store(true, std::memory_order_relaxed);
  for (const unsigned index : shuffled(blocks)) {
    const std::unique_ptr<Shared> shared(new Shared);
    std::memset(static_cast<void*>(shared.get()), 0xA5, sizeof(Shared));  // not zero: as on a GPU
    Block<Shared, Kernel::kThreads> block(*shared, index, blocks);
    kernel(block);
  }
}

inline unsigned busy_blocks(Stream) { return 5; }
constexpr unsigned kRounds = 8;

inline void fence() {}

template <class T>
T atomic_add(T* at, T value) {
  const T before = *at;
  *at += value;
  return before;
}
template <class T>
void atomic_min(T* at, T value) {
  *at = std::min(*at, value);
}
template <class T>
void atomic_max(T* at, T value) {
  *at = std::max(*at, value);
}
inline unsigned atomic_cas(unsigned* at, unsigned expected, unsigned value) {
  const unsigned before = *at;
  if (before == expected) *at = value;
  return before;
}
inline unsigned atomic_wrap(unsigned* at, unsigned last) {
  const unsigned before = *at;
  *at = before >= last ? 0 : before + 1;
  return before;
}
inline void atomic_or(unsigned* at, unsigned value) { *at |= value; }

}  // namespace dynsample::cuda
