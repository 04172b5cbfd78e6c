#include <string>

#include "bind/bind.h"
#include "core/text.h"
#include "core/uncertainty.h"

namespace dynsample::bind {
namespace {

// (numbers, bytes, lines) of the whole lines of `text`; the numbers go to out[at:].
py::tuple parse_lines(const py::buffer& text, bool whole, Array<double>& numbers, std::size_t at) {
  const py::buffer_info view = text.request();
  const auto bytes = bytes_in(view, "text");
  const std::span<double> room = out(numbers);
  if (at > room.size()) throw py::index_error("at is beyond the numbers");
  Parsed parsed{};
  {
    py::gil_scoped_release unlocked;
    parsed = dynsample::parse_lines(bytes, whole, room.subspan(at));
  }
  return py::make_tuple(parsed.numbers, parsed.bytes, parsed.lines);
}

template <class T>
void add_epoch(const Array<double>& probabilities, Array<T>& window, Array<std::uint32_t>& count,
               Array<double>& sum, bool add) {
  const auto epoch = in(probabilities, "probabilities");
  const auto values = out(window);
  const auto counts = out(count);
  const auto sums = out(sum);
  py::gil_scoped_release unlocked;
  dynsample::add_epoch(epoch, values, counts, sums, add);
}

bool fit(const Array<double>& values) {
  const auto all = in(values, "values");
  py::gil_scoped_release unlocked;
  return fit_floats(all);
}

}  // namespace

void bind_history(py::module_& module) {
  module.def("fit_floats", &fit, py::arg("values").noconvert());
  module.def("parse_lines", &parse_lines, py::arg("text"), py::arg("whole"),
             py::arg("numbers").noconvert(), py::arg("at"));
  module.def("add_epoch", &add_epoch<float>, py::arg("probabilities").noconvert(),
             py::arg("window").noconvert(), py::arg("count").noconvert(),
             py::arg("sum").noconvert(), py::arg("add"));
  module.def("add_epoch", &add_epoch<double>, py::arg("probabilities").noconvert(),
             py::arg("window").noconvert(), py::arg("count").noconvert(),
             py::arg("sum").noconvert(), py::arg("add"));
}

}  // namespace dynsample::bind
