#include "core/mask.h"

#include "bind/bind.h"
#include "bind/rows.h"

namespace dynsample::bind {
namespace {

std::span<const std::uint8_t> mask_bytes(const Array<bool>& mask) {
  return {bytes(mask), in(mask, "mask").size()};
}

Array<std::uint32_t> ids_of(const Array<bool>& mask, bool invert) {
  const auto flags = mask_bytes(mask);
  check_num_rows(flags.size());
  std::size_t listed;
  {
    py::gil_scoped_release unlocked;
    listed = count_set(flags);
  }
  if (invert) listed = flags.size() - listed;
  Array<std::uint32_t> ids(static_cast<py::ssize_t>(listed));
  const std::span<std::uint32_t> places = out(ids);
  py::gil_scoped_release unlocked;
  mask_ids(flags, invert, places);
  return ids;
}

Array<float> chosen(const Array<bool>& mask, float inside, float outside) {
  const auto flags = mask_bytes(mask);
  Array<float> values(mask.size());
  const std::span<float> result = out(values);
  py::gil_scoped_release unlocked;
  choose(flags, inside, outside, result);
  return values;
}

}  // namespace

void bind_mask(py::module_& module) {
  module.def("mask_ids", &ids_of, py::arg("mask").noconvert(), py::arg("invert") = false);
  module.def("choose", &chosen, py::arg("mask").noconvert(), py::arg("inside"), py::arg("outside"));
}

}  // namespace dynsample::bind
