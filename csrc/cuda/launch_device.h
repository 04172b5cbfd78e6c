// The driver of cuda/launch.h on a GPU.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "cuda/launched.h"

#define DYNSAMPLE_DEVICE __device__
#define DYNSAMPLE_UNROLL _Pragma("unroll")

namespace dynsample::cuda {

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // or the next launch would be blamed for it
  const bool foreign = error == cudaErrorNoKernelImageForDevice;
  throw std::runtime_error(std::string(what) + " failed on the GPU: " + cudaGetErrorString(error) +
                           (foreign ? "; dynsample was built for other GPUs, see `dynsample "
                                      "doctor`: reinstall it with DYNSAMPLE_CUDA_ARCHS=native"
                                    : ""));
}

// Whether a device has a context: cudaSetDevice makes one where there is none, which takes memory.
inline bool has_context(int device) {
  using State = decltype(&cuDevicePrimaryCtxGetState);
  static const State state = [] {
    void* found = nullptr;
    const char* const name = "cuDevicePrimaryCtxGetState";
#if CUDART_VERSION >= 12050
    cudaDriverEntryPointQueryResult result;
    const cudaError_t error =
        cudaGetDriverEntryPointByVersion(name, &found, 11000, cudaEnableDefault, &result);
#else
    const cudaError_t error = cudaGetDriverEntryPoint(name, &found, cudaEnableDefault);
#endif
    check(error, name);
    return reinterpret_cast<State>(found);
  }();
  unsigned flags = 0;
  int active = 0;
  return state && state(device, &flags, &active) == CUDA_SUCCESS && active;
}

// Makes a stream's device the current one, and puts the other back if it is in use.
class Current {
 public:
  explicit Current(Stream stream) : device_(stream.device) {
    check(cudaGetDevice(&before_), "cudaGetDevice");
    if (before_ == device_) return;
    back_ = has_context(before_);
    check(cudaSetDevice(device_), "cudaSetDevice");
  }
  ~Current() {
    if (back_) cudaSetDevice(before_);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  int before_ = 0, device_;
  bool back_ = false;
};

inline cudaStream_t native(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }

template <class Shared, int kThreads>
class Block {
 public:
  template <class T>
  class PerThread {
   public:
    __device__ T& operator[](unsigned) { return value_; }

   private:
    T value_;
  };

  __device__ explicit Block(Shared& memory) : shared(memory) {}
  __device__ unsigned index() const { return blockIdx.x; }
  __device__ unsigned count() const { return gridDim.x; }

  template <class Body>
  __device__ void each(const Body& body) const {
    body(threadIdx.x);
    __syncthreads();
  }

  Shared& shared;
};

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads) run(const Kernel kernel) {
  __shared__ typename Kernel::Shared shared;
  Block<typename Kernel::Shared, Kernel::kThreads> block(shared);
  kernel(block);
}

template <class Kernel>
void launch(const char* name, const Kernel& kernel, unsigned blocks, Stream stream) {
  launched<Kernel>.yet.store(true, std::memory_order_relaxed);
  const Current current(stream);
  run<<<blocks, Kernel::kThreads, 0, native(stream)>>>(kernel);
  check(cudaGetLastError(), name);
}

// Loads a kernel now, as its first launch would: that waits for the device, and may be in a
// capture.
template <class Kernel>
void load(Stream stream) {
  const Current current(stream);
  cudaFuncAttributes attributes;
  check(cudaFuncGetAttributes(&attributes, run<Kernel>), "the load of a kernel");
}

inline unsigned busy_blocks(Stream stream) {
  int processors = 0;
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, stream.device),
        "cudaDeviceGetAttribute");
  return static_cast<unsigned>(processors) * 8;
}

// Rounds of busy blocks that a read of all rows is cut into: the scheduler evens their times out.
constexpr unsigned kRounds = 8;

__device__ inline void fence() { __threadfence(); }

__device__ inline unsigned atomic_add(unsigned* at, unsigned value) { return atomicAdd(at, value); }
__device__ inline int atomic_add(int* at, int value) { return atomicAdd(at, value); }
__device__ inline std::uint64_t atomic_add(std::uint64_t* at, std::uint64_t value) {
  return atomicAdd(reinterpret_cast<unsigned long long*>(at), value);
}
__device__ inline void atomic_add(std::int64_t* at, std::int64_t value) {
  atomicAdd(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(value));
}
__device__ inline void atomic_min(unsigned* at, unsigned value) { atomicMin(at, value); }
__device__ inline void atomic_max(unsigned* at, unsigned value) { atomicMax(at, value); }
// What was there; `value` is now, if that was `expected`.
__device__ inline unsigned atomic_cas(unsigned* at, unsigned expected, unsigned value) {
  return atomicCAS(at, expected, value);
}
// What was there; one more now, or 0 after `last`.
__device__ inline unsigned atomic_wrap(unsigned* at, unsigned last) { return atomicInc(at, last); }
__device__ inline void atomic_or(unsigned* at, unsigned value) { atomicOr(at, value); }

__device__ inline unsigned count_bits(unsigned word) { return __popc(word); }
__device__ inline unsigned lowest_bit(unsigned word) { return __ffs(word) - 1; }  // word != 0

// Waits for the stream.
inline void copy_to_host(void* to, const void* from, std::size_t size, Stream stream) {
  const Current current(stream);
  check(cudaMemcpyAsync(to, from, size, cudaMemcpyDeviceToHost, native(stream)), "a copy");
  check(cudaStreamSynchronize(native(stream)), "the work before a copy");
}

// From memory of the host that may change as soon as this returns.
inline void copy_to_device(void* to, const void* from, std::size_t size, Stream stream) {
  const Current current(stream);
  check(cudaMemcpyAsync(to, from, size, cudaMemcpyHostToDevice, native(stream)), "a copy");
  check(cudaStreamSynchronize(native(stream)), "a copy");
}

inline void copy_on_device(void* to, const void* from, std::size_t size, Stream stream) {
  const Current current(stream);
  check(cudaMemcpyAsync(to, from, size, cudaMemcpyDeviceToDevice, native(stream)), "a copy");
}

inline void fill_bytes(void* to, unsigned char value, std::size_t size, Stream stream) {
  const Current current(stream);
  check(cudaMemsetAsync(to, value, size, native(stream)), "a fill");
}

}  // namespace dynsample::cuda
