#include "core/sum.h"

#include "bind/bind.h"
#include "bind/rows.h"

namespace dynsample::bind {
namespace {

py::tuple extremes(const Array<float>& values, const OptionalMask& where, bool finite_only) {
  const Rows column = rows(values, where, finite_only, "values", "where");
  Extremes found;
  {
    py::gil_scoped_release unlocked;
    found = min_max(column);
  }
  return py::make_tuple(found.low, found.high);
}

}  // namespace

void bind_sum(py::module_& module) {
  module.def("min_max", &extremes, py::arg("values").noconvert(),
             py::arg("where").noconvert() = py::none(), py::arg("finite_only") = false);
}

}  // namespace dynsample::bind
