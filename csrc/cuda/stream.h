// Where device work goes, and where its scratch memory comes from; free of CUDA headers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dynsample::cuda {

// A CUDA stream of a device.
struct Stream {
  int device;
  void* handle;
};

// Device memory that the caller's array library lends until the work that was given to the stream
// may use it no more.
class Scratch {
 public:
  virtual ~Scratch() = default;

  template <class T>
  T* array(std::size_t size) {
    return static_cast<T*>(bytes(size * sizeof(T)));
  }

 private:
  virtual void* bytes(std::size_t size) = 0;  // aligned to 256
};

}  // namespace dynsample::cuda
