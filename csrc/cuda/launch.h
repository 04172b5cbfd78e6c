// One algorithm, two drivers: a kernel is a struct, run by a grid of blocks on a GPU or, compiled
// by the host's compiler, by loops; so its logic is tested where there is no GPU.
//
//   struct Kernel {
//     static constexpr int kThreads = 256;  // of a block
//     struct Shared { ... };                // shared memory, plain data
//     ... arguments ...
//     template <class Block>
//     DYNSAMPLE_DEVICE void operator()(Block& block) const {
//       block.each([&](unsigned thread) { ... });  // all threads, then a barrier
//     }
//   };
//   launch("name", Kernel{...}, blocks, stream);
//
// What is outside of each() is the same for all threads of a block. State that a thread keeps from
// one each() to the next is in a Block::PerThread<T>. The host runs blocks and threads one at a
// time in a shuffled order, so that a result that depends on their order shows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/random.h"
#include "cuda/stream.h"

#if defined(__CUDACC__)
#include "cuda/launch_device.h"
#elif defined(DYNSAMPLE_CUDA_THREADS)
#include "cuda/launch_threads.h"
#else
#include "cuda/launch_host.h"
#endif

namespace dynsample::cuda {

// Blocks for `size` items, `per_block` at a time, no more than keep the device of a stream busy.
inline unsigned blocks_for(std::size_t size, std::size_t per_block, Stream stream) {
  const std::size_t wanted = (size + per_block - 1) / per_block, most = busy_blocks(stream);
  return static_cast<unsigned>(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

// Calls body(i) for i in [0, size), a thread each at a time.
template <class Body>
struct ForEach {
  static constexpr int kThreads = 256;
  struct Shared {};
  Body body;
  std::size_t size;

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    const std::size_t step = std::size_t{block.count()} * kThreads;
    block.each([&](unsigned thread) {
      for (std::size_t i = std::size_t{block.index()} * kThreads + thread; i < size; i += step) {
        body(i);
      }
    });
  }
};

// `body` is a struct with a DYNSAMPLE_DEVICE operator()(std::size_t) const.
template <class Body>
void for_each(const char* name, std::size_t size, const Body& body, Stream stream) {
  if (!size) return;
  launch(name, ForEach<Body>{body, size}, blocks_for(size, ForEach<Body>::kThreads, stream),
         stream);
}

// One value out of device memory; waits for the stream.
template <class T>
T fetch(const T* from, Stream stream) {
  T value;
  copy_to_host(&value, from, sizeof value, stream);
  return value;
}

// Whether this block is the last of the grid to get here; `arrived` is 0 before the launch, and
// again after it. What the other blocks wrote before is visible then.
template <class Block>
DYNSAMPLE_DEVICE bool last_block(Block& block, unsigned* arrived, bool& shared_flag) {
  block.each([&](unsigned thread) {
    if (thread) return;
    fence();
    shared_flag = atomic_wrap(arrived, block.count() - 1) == block.count() - 1;
    fence();
  });
  return shared_flag;
}

}  // namespace dynsample::cuda
