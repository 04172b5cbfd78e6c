#include "dali/jpeg.h"

#include "bind/bind.h"

namespace dynsample::bind {
namespace {

bool is_cut_short(const py::buffer& image) {
  const py::buffer_info bytes = image.request();
  if (bytes.itemsize != 1 || bytes.ndim != 1 || (bytes.size && bytes.strides[0] != 1)) {
    throw py::type_error("image must be bytes, one after the other");
  }
  const py::gil_scoped_release unlocked;
  return jpeg::is_cut_short(static_cast<const std::uint8_t*>(bytes.ptr), bytes.size);
}

}  // namespace

void bind_jpeg(py::module_& module) { module.def("is_cut_short", &is_cut_short, py::arg("image")); }

}  // namespace dynsample::bind
