#include "bind/cuda.h"

#include "cuda/launched.h"

#if defined(DYNSAMPLE_CUDA_ON_HOST)
#include "cuda/on_host.h"
#else
#include "cuda/device.h"
#endif

namespace {

namespace py = pybind11;
using dynsample::bind::Address;
using dynsample::cuda::Stream;

// Whether each kernel, by the name of its type, was launched yet.
py::dict launched() {
  py::dict found;
  for (const auto* kernel = dynsample::cuda::Launched::first; kernel; kernel = kernel->next) {
    std::string name = kernel->kernel.name();
    py::detail::clean_type_id(name);
    found[py::str(name)] = kernel->yet.load(std::memory_order_relaxed);
  }
  return found;
}

void bind_all(py::module_& module) {
  module.def("launched", &launched);
  py::class_<Stream>(module, "Stream", py::module_local())
      .def(py::init([](int device, Address handle) {
        return Stream{device, reinterpret_cast<void*>(handle)};
      }));
  dynsample::bind::bind_cuda_fold(module);
  dynsample::bind::bind_cuda_log(module);
  dynsample::bind::bind_cuda_draw(module);
  dynsample::bind::bind_cuda_order(module);
  dynsample::bind::bind_cuda_select(module);
}

}  // namespace

#if defined(DYNSAMPLE_CUDA_ON_HOST)
PYBIND11_MODULE(_cuda_on_host, module, py::mod_gil_not_used()) {
  module.doc() = "The CUDA kernels of dynsample, compiled for the CPU: for tests.";
  module.def("waits", [] { return dynsample::cuda::waits.load(); });
  bind_all(module);
}
#else
PYBIND11_MODULE(_cuda, module, py::mod_gil_not_used()) {
  module.doc() = "CUDA kernels of dynsample.";
  module.def("device_count", &dynsample::cuda::device_count);
  module.def("driver_version", &dynsample::cuda::driver_version);
  module.attr("architectures") = DYNSAMPLE_CUDA_ARCHITECTURES;
  module.def("runtime_version", &dynsample::cuda::runtime_version);
  bind_all(module);
}
#endif
