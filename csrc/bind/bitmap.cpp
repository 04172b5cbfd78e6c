#include "core/bitmap.h"

#include "bind/bind.h"
#include "bind/rows.h"

namespace dynsample::bind {
namespace {

using Ids = Array<std::int64_t>;

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

Bitmap make(const Array<bool>& mask) {
  const auto flags = mask_bytes(mask);
  py::gil_scoped_release unlocked;
  return Bitmap(flags);
}

Ids rank(const Bitmap& bitmap, const Ids& ids) {
  const auto wanted = in(ids, "ids");
  Ids ranks(ids.size());
  const auto places = out(ranks);
  py::gil_scoped_release unlocked;
  bitmap.rank(wanted, places);
  return ranks;
}

Ids select(const Bitmap& bitmap, const Ids& ranks) {
  const auto wanted = in(ranks, "ranks");
  Ids ids(ranks.size());
  const auto places = out(ids);
  py::gil_scoped_release unlocked;
  bitmap.select(wanted, places);
  return ids;
}

}  // namespace

void bind_bitmap(py::module_& module) {
  module.def("mask_ids", &ids_of, py::arg("mask").noconvert(), py::arg("invert") = false);
  module.def("choose", &chosen, py::arg("mask").noconvert(), py::arg("inside"), py::arg("outside"));
  py::class_<Bitmap>(module, "Bitmap")
      .def(py::init(&make), py::arg("mask").noconvert())
      .def("__len__", &Bitmap::size)
      .def_property_readonly("count", &Bitmap::count)
      .def("rank", &rank, py::arg("ids").noconvert())
      .def("select", &select, py::arg("ranks").noconvert());
}

}  // namespace dynsample::bind
