#include "dali/jpeg.h"

#include "bind/bind.h"

namespace dynsample::bind {
namespace {

bool is_cut_short(const py::buffer& image) {
  const py::buffer_info view = image.request();
  const auto bytes = bytes_in(view, "image");
  const py::gil_scoped_release unlocked;
  return jpeg::is_cut_short(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                            static_cast<std::int64_t>(bytes.size()));
}

}  // namespace

void bind_jpeg(py::module_& module) { module.def("is_cut_short", &is_cut_short, py::arg("image")); }

}  // namespace dynsample::bind
