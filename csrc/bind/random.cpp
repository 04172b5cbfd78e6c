#include "core/random.h"

#include <pybind11/native_enum.h>

#include "bind/bind.h"
#include "core/dispatch.h"

namespace dynsample::bind {
namespace {

Array<std::uint32_t> philox_blocks(std::uint64_t seed, std::uint64_t first, std::size_t blocks,
                                   std::uint32_t epoch, std::uint32_t stream) {
  Array<std::uint32_t> words(4 * blocks);
  std::uint32_t* data = words.mutable_data();
  py::gil_scoped_release unlocked;
  kernels().random.fill(seed, first, epoch, stream, blocks, data);
  return words;
}

}  // namespace

void bind_random(py::module_& module) {
  module.def("philox", &philox_blocks, py::arg("seed"), py::arg("first"), py::arg("blocks"),
             py::arg("epoch"), py::arg("stream"));
  py::native_enum<Stream>(module, "Stream", "enum.IntEnum", "What random numbers are for.")
#define DYNSAMPLE_STREAM(constant, name, number, use) .value(name, constant, use)
      DYNSAMPLE_STREAMS(DYNSAMPLE_STREAM)
#undef DYNSAMPLE_STREAM
          .finalize();
}

}  // namespace dynsample::bind
