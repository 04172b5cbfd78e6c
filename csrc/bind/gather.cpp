#include "core/gather.h"

#include <pybind11/stl.h>

#include <vector>

#include "bind/bind.h"

namespace dynsample::bind {
namespace {

std::vector<MappedRows> columns_of(const std::vector<py::array>& arrays) {
  std::vector<MappedRows> columns;
  for (const py::array& array : arrays) {
    if (array.ndim() < 1 || !(array.flags() & py::array::c_style)) {
      throw py::value_error("columns must be C-contiguous and have at least one dimension");
    }
    if (array.shape(0) != arrays[0].shape(0)) {
      throw py::value_error("columns must have the same number of rows, got " +
                            std::to_string(arrays[0].shape(0)) + " and " +
                            std::to_string(array.shape(0)));
    }
    std::size_t bytes = static_cast<std::size_t>(array.itemsize());
    for (py::ssize_t d = 1; d < array.ndim(); ++d)
      bytes *= static_cast<std::size_t>(array.shape(d));
    columns.push_back({static_cast<const std::byte*>(array.data()), bytes});
  }
  return columns;
}

std::size_t rows_of(const std::vector<py::array>& arrays) {
  return arrays.empty() ? 0 : static_cast<std::size_t>(arrays[0].shape(0));
}

std::vector<py::array> gathered(const std::vector<py::array>& arrays,
                                const Array<std::int64_t>& index) {
  const std::vector<MappedRows> columns = columns_of(arrays);
  const auto rows = in(index, "index");
  std::vector<py::array> results;
  std::vector<std::byte*> outs;
  for (const py::array& array : arrays) {
    std::vector<py::ssize_t> shape(array.shape(), array.shape() + array.ndim());
    shape[0] = index.size();
    results.emplace_back(array.dtype(), shape);
    outs.push_back(static_cast<std::byte*>(results.back().mutable_data()));
  }
  const std::size_t num_rows = rows_of(arrays);
  {
    py::gil_scoped_release unlocked;
    gather_rows(columns, num_rows, rows, outs);
  }
  return results;
}

void ask_ahead(const std::vector<py::array>& arrays, const Array<std::int64_t>& index) {
  const std::vector<MappedRows> columns = columns_of(arrays);
  const auto rows = in(index, "index");
  const std::size_t num_rows = rows_of(arrays);
  py::gil_scoped_release unlocked;
  read_ahead(columns, num_rows, rows);
}

}  // namespace

void bind_gather(py::module_& module) {
  module.def("gather_rows", &gathered, py::arg("columns"), py::arg("index").noconvert());
  module.def("read_ahead", &ask_ahead, py::arg("columns"), py::arg("index").noconvert());
}

}  // namespace dynsample::bind
