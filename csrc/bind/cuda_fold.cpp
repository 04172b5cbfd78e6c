#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <vector>

#include "bind/cuda.h"
#include "cuda/fold.h"
#include "cuda/log.h"

namespace dynsample::bind {
namespace {

using cuda::Sorted;
using cuda::Stream;
using Parts = std::vector<Address>;

// What dynsample.columns.native makes, with addresses for the arrays.
Column column(const std::string& kind, double parameter, const Parts& parts) {
  const auto size = static_cast<std::uint32_t>(parameter);
  if (kind == "last") return {0, LastColumn{at<float>(parts.at(0))}};
  if (kind == "ema") return {0, EmaColumn{at<float>(parts.at(0)), static_cast<float>(parameter)}};
  if (kind == "mean") {
    return {0, MeanColumn{at<double>(parts.at(0)), at<std::uint32_t>(parts.at(1))}};
  }
  if (kind == "window") {
    return {0, WindowColumn{at<float>(parts.at(0)), at<std::uint32_t>(parts.at(1)), size}};
  }
  if (kind == "uncertainty") {
    return {0, UncertaintyColumn{at<float>(parts.at(0)), at<std::uint32_t>(parts.at(1)),
                                 at<double>(parts.at(2)), size}};
  }
  if (kind == "transitions") {
    return {0, TransitionsColumn{at<std::uint32_t>(parts.at(0)), at<std::uint32_t>(parts.at(1)),
                                 at<std::uint8_t>(parts.at(2)), at<std::uint8_t>(parts.at(3))}};
  }
  throw py::value_error("no column of kind '" + kind + "'");
}

Sorted sorted(Address rows, Address places, std::size_t size) {
  return {at<const std::uint32_t>(rows), at<const std::uint32_t>(places), size};
}

void sort_rows(Stream stream, const py::function& allocate, Address rows, Address keys,
               std::size_t size, int row_bits, Address sorted_rows, Address places) {
  LentScratch scratch(allocate);
  const py::gil_scoped_release unlocked;
  cuda::sort_rows(at<const std::uint32_t>(rows), at<const std::uint32_t>(keys), size, row_bits,
                  at<std::uint32_t>(sorted_rows), at<std::uint32_t>(places), scratch, stream);
}

void match(Stream stream, Address rows, Address places, std::size_t size, Address issued_rows,
           Address issued_places, std::size_t num_issued, Address issued_tickets, Address accepted,
           Address tickets, Address unknown) {
  const py::gil_scoped_release unlocked;
  cuda::match(sorted(rows, places, size), sorted(issued_rows, issued_places, num_issued),
              at<const std::uint32_t>(issued_tickets), at<std::uint8_t>(accepted),
              at<std::uint32_t>(tickets), at<std::uint32_t>(unknown), stream);
}

// A column as dynsample.device.fold describes it: kind, parameter, addresses of its parts, and that
// of the values of its signal.
using Spec = std::tuple<std::string, double, Parts, Address>;

// Applies observations to all columns, marks their rows as seen, and drops what is closed of the
// log that they are of.
void fold(Stream stream, cuda::LogParts& log, const std::vector<Spec>& specs, Address rows,
          Address places, std::size_t size, Address accepted, std::uint32_t first_row,
          Address seen) {
  std::vector<Column> columns;
  for (const auto& [kind, parameter, parts, values] : specs) {
    columns.push_back(column(kind, parameter, parts));
  }
  const Sorted observations = sorted(rows, places, size);
  const auto* const which = at<const std::uint8_t>(accepted);
  const py::gil_scoped_release unlocked;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const auto* const values = at<const float>(std::get<3>(specs[c]));
    cuda::apply(columns[c], values, observations, which, first_row, stream);
  }
  cuda::mark_seen(observations, which, first_row, at<std::uint8_t>(seen), stream);
  log.drop(true);
}

}  // namespace

void bind_cuda_fold(py::module_& module) {
  module.def("sort_rows", &sort_rows);
  module.def("match", &match);
  module.def("fold", &fold);
}

}  // namespace dynsample::bind
