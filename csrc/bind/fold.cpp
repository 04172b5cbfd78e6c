#include "core/fold.h"

#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "bind/bind.h"

namespace dynsample::bind {

ObservationLog& log_of(py::handle object);

namespace {

// A writable part of a column, of exactly `size` elements of T in any shape.
template <class T, class As = T>
std::span<As> part(py::handle array, std::size_t size, const char* name) {
  using Exact = py::array_t<T, py::array::c_style>;
  if (!Exact::check_(array)) {
    throw py::type_error(std::string(name) + " must be a contiguous array of " +
                         std::string(py::str(py::dtype::of<T>())));
  }
  auto typed = py::reinterpret_borrow<Exact>(array);
  if (static_cast<std::size_t>(typed.size()) != size) {
    throw py::value_error(std::string(name) + " must have " + std::to_string(size) +
                          " elements, got " + std::to_string(typed.size()));
  }
  return {reinterpret_cast<As*>(typed.mutable_data()), size};  // an error when read-only
}

// (kind, number of the signal, parameter, arrays) as dynsample.columns makes it.
Column column(const py::tuple& spec, const ObservationLog& log) {
  const std::string kind = spec[0].cast<std::string>();
  const std::size_t signal = spec[1].cast<std::size_t>();
  if (signal >= log.num_signals()) throw py::index_error("no such signal");
  const py::sequence arrays = spec[3];
  const std::size_t n = log.num_samples();
  if (kind == "last") return {signal, LastColumn{part<float>(arrays[0], n, "value")}};
  if (kind == "ema") {
    return {signal, EmaColumn{part<float>(arrays[0], n, "value"), spec[2].cast<float>()}};
  }
  if (kind == "mean") {
    return {signal, MeanColumn{part<double>(arrays[0], n, "sum"),
                               part<std::uint32_t>(arrays[1], n, "count")}};
  }
  if (kind == "window") {
    const auto size = static_cast<std::uint32_t>(spec[2].cast<double>());
    if (size == 0) throw py::value_error("size must be at least 1, got 0");
    return {signal, WindowColumn{part<float>(arrays[0], n * size, "values"),
                                 part<std::uint32_t>(arrays[1], n, "count"), size}};
  }
  if (kind == "transitions") {
    return {signal, TransitionsColumn{part<std::uint32_t>(arrays[0], n, "transitions"),
                                      part<std::uint32_t>(arrays[1], n, "presentations"),
                                      part<bool, std::uint8_t>(arrays[2], n, "previous"),
                                      part<bool, std::uint8_t>(arrays[3], n, "ever_correct")}};
  }
  throw py::value_error("no column of kind '" + kind + "'");
}

Quota quota_of(const py::object& quota, std::size_t n) {
  if (quota.is_none()) return {};
  if (Array<std::uint8_t>::check_(quota)) return part<std::uint8_t>(quota, n, "quota");
  if (Array<std::uint32_t>::check_(quota)) return part<std::uint32_t>(quota, n, "quota");
  throw py::type_error("quota must be a contiguous array of uint8 or uint32");
}

std::size_t fold_log(py::handle log, const std::vector<py::tuple>& specs, const py::object& seen,
                     const py::object& quota, const std::optional<Array<std::int64_t>>& tickets) {
  ObservationLog& observations = log_of(log);
  std::vector<Column> columns;
  for (const py::tuple& spec : specs) columns.push_back(column(spec, observations));
  const std::size_t n = observations.num_samples();
  const auto marks = part<bool, std::uint8_t>(seen, n, "seen");
  const Quota left = quota_of(quota, n);
  const auto order = tickets ? in(*tickets, "tickets") : std::span<const std::int64_t>();
  py::gil_scoped_release unlocked;
  return fold(observations, columns, marks, left, order);
}

}  // namespace

void bind_fold(py::module_& module) {
  module.def("fold", &fold_log, py::arg("log"), py::arg("columns"), py::arg("seen"),
             py::arg("quota"), py::arg("tickets").noconvert());
}

}  // namespace dynsample::bind
