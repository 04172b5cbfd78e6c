// The driver of cuda/launch.h on a CPU, for a search of data races: every thread of every block
// runs the kernel for itself, as on a GPU, and is a thread to ThreadSanitizer. Built with
// -fsanitize=thread; see tests/races.py.
#pragma once

#include <algorithm>

#include "cuda/fibers.h"
#include "cuda/on_host.h"

namespace dynsample::cuda {

template <class Shared, int kThreads>
class Block {
 public:
  template <class T>
  class PerThread {
   public:
    PerThread() { std::memset(static_cast<void*>(&value_), 0xA5, sizeof value_); }
    T& operator[](unsigned) { return value_; }

   private:
    T value_;
  };

  Block(Shared& memory, unsigned index, unsigned count, unsigned thread)
      : shared(memory), index_(index), count_(count), thread_(thread) {}
  unsigned index() const { return index_; }
  unsigned count() const { return count_; }

  template <class Body>
  void each(const Body& body) const {
    static const char site = 0;
    body(thread_);
    fibers::barrier(&site);
  }

  Shared& shared;

 private:
  unsigned index_, count_, thread_;
};

template <class Kernel>
struct Grid {
  using Shared = typename Kernel::Shared;
  const Kernel& kernel;
  unsigned blocks;
  Shared* shared;

  static void run(const void* grid, unsigned index, unsigned thread) {
    const auto& self = *static_cast<const Grid*>(grid);
    Block<Shared, Kernel::kThreads> block(self.shared[index], index, self.blocks, thread);
    self.kernel(block);
  }
};

template <class Kernel>
void launch(const char* name, const Kernel& kernel, unsigned blocks, Stream) {
  using Shared = typename Kernel::Shared;
  const std::lock_guard<std::mutex> one(fibers::machine.mutex);
  const std::unique_ptr<Shared[]> shared(new Shared[blocks]);
  std::memset(static_cast<void*>(shared.get()), 0xA5, blocks * sizeof(Shared));
  const Grid<Kernel> grid{kernel, blocks, shared.get()};
  fibers::run_grid(name, &Grid<Kernel>::run, &grid, blocks, Kernel::kThreads);
}

// No more than show what goes wrong between blocks: all that happens costs ThreadSanitizer time for
// every thread there is.
inline unsigned busy_blocks(Stream) { return 4; }
constexpr unsigned kRounds = 1;

inline void fence() { fibers::fence(); }

template <class T>
T atomic_add(T* at, T value) {
  fibers::publish(at);
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}

// What was there; next(that) is now.
template <class T, class Next>
T atomic_update(T* at, const Next& next) {
  fibers::publish(at);
  T before = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(at, &before, next(before), false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED))
    continue;
  return before;
}
template <class T>
void atomic_min(T* at, T value) {
  atomic_update(at, [&](T before) { return std::min(before, value); });
}
template <class T>
void atomic_max(T* at, T value) {
  atomic_update(at, [&](T before) { return std::max(before, value); });
}
inline unsigned atomic_cas(unsigned* at, unsigned expected, unsigned value) {
  return atomic_update(at, [&](unsigned before) { return before == expected ? value : before; });
}
inline unsigned atomic_wrap(unsigned* at, unsigned last) {
  return atomic_update(at, [&](unsigned before) { return before >= last ? 0 : before + 1; });
}
inline void atomic_or(unsigned* at, unsigned value) {
  atomic_update(at, [&](unsigned before) { return before | value; });
}

}  // namespace dynsample::cuda
