#include "core/select.h"

#include "bind/bind.h"
#include "bind/rows.h"

namespace dynsample::bind {
namespace {

Array<bool> hide(const Array<float>& scores, std::size_t k, const OptionalMask& eligible,
                 bool finite_only) {
  const Rows column = rows(scores, eligible, finite_only, "scores", "eligible");
  Array<bool> hidden(static_cast<py::ssize_t>(column.size));
  const std::span<std::uint8_t> mask = flags_of(hidden);
  py::gil_scoped_release unlocked;
  hide_lowest(column, k, mask);
  return hidden;
}

Array<bool> marked_below(const Array<float>& scores, float bound, const OptionalMask& eligible,
                         bool finite_only) {
  const Rows column = rows(scores, eligible, finite_only, "scores", "eligible");
  Array<bool> mask(static_cast<py::ssize_t>(column.size));
  const std::span<std::uint8_t> marks = flags_of(mask);
  py::gil_scoped_release unlocked;
  below(column, bound, marks);
  return mask;
}

py::array_t<std::int64_t> sampled(const Array<float>& scores) {
  const std::vector<std::int64_t> found =
      sampled_rows(rows(scores, std::nullopt, false, "scores", ""));
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(found.size()), found.data());
}

}  // namespace

void bind_select(py::module_& module) {
  module.def("hide_lowest", &hide, py::arg("scores").noconvert(), py::arg("k"),
             py::arg("eligible").noconvert() = py::none(), py::arg("finite_only") = false);
  module.def("below", &marked_below, py::arg("scores").noconvert(), py::arg("bound"),
             py::arg("eligible").noconvert(), py::arg("finite_only"));
  module.def("sampled_rows", &sampled, py::arg("scores").noconvert());
}

}  // namespace dynsample::bind
