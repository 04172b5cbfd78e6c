// Helpers of the bindings of the CUDA module: addresses to pointers, and lent scratch memory.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>

#include "cuda/stream.h"

namespace dynsample::bind {

namespace py = pybind11;

// The address of a tensor's data; 0 for none. What it points to is checked in Python.
using Address = std::uintptr_t;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);
}

// Asks `allocate(bytes)` for tensors of bytes, and keeps them until the call is over: an array
// library that frees in stream order does not hand them out before the work is done.
class LentScratch : public cuda::Scratch {
 public:
  explicit LentScratch(py::function allocate) : allocate_(std::move(allocate)) {}

 private:
  void* bytes(std::size_t size) override {
    const py::gil_scoped_acquire locked;
    lent_.append(allocate_(size));
    const py::object last = lent_[lent_.size() - 1];
    return reinterpret_cast<void*>(last.attr("data_ptr")().cast<Address>());
  }

  py::function allocate_;
  py::list lent_;
};

void bind_cuda_fold(py::module_& module);
void bind_cuda_log(py::module_& module);
void bind_cuda_draw(py::module_& module);
void bind_cuda_order(py::module_& module);
void bind_cuda_select(py::module_& module);

}  // namespace dynsample::bind
