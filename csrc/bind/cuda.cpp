#include <pybind11/pybind11.h>

#include "cuda/device.h"

PYBIND11_MODULE(_cuda, module, pybind11::mod_gil_not_used()) {
  module.doc() = "CUDA kernels of dynsample.";
  module.def("device_count", &dynsample::cuda::device_count);
  module.def("driver_version", &dynsample::cuda::driver_version);
  module.def("runtime_version", &dynsample::cuda::runtime_version);
}
