#include "core/file_list.h"

#include <algorithm>

#include "bind/bind.h"

namespace dynsample::bind {
namespace {

py::tuple parse_list(const py::buffer& text, std::size_t at, Array<std::int64_t>& begins,
                     Array<std::int64_t>& ends, Array<std::int32_t>& labels) {
  const py::buffer_info view = text.request();
  const Text bytes = bytes_in(view, "text");
  const Listed room{out(begins), out(ends), out(labels)};
  ListRead read{};
  {
    const py::gil_scoped_release unlocked;
    read = parse_file_list(bytes, at, room);
  }
  return py::make_tuple(read.samples, read.bytes);
}

py::tuple join_listed(const py::buffer& prefix, const py::buffer& text,
                      const Array<std::int64_t>& begins, const Array<std::int64_t>& ends) {
  const py::buffer_info prefix_view = prefix.request(), text_view = text.request();
  const Text front = bytes_in(prefix_view, "prefix"), bytes = bytes_in(text_view, "text");
  const auto from = in(begins, "begins"), to = in(ends, "ends");
  if (from.size() != to.size()) throw py::value_error("begins and ends must have as many rows");
  const std::size_t rest = front.size() + 1;  // with the NUL
  std::size_t size = from.size() * rest;
  for (std::size_t i = 0; i < from.size(); ++i) size += std::max<std::int64_t>(to[i] - from[i], 0);
  Array<std::uint8_t> names(static_cast<py::ssize_t>(size));
  Array<std::int64_t> starts(static_cast<py::ssize_t>(from.size() + 1));
  const std::span<char> room{reinterpret_cast<char*>(names.mutable_data()), size};
  const auto places = out(starts);
  {
    const py::gil_scoped_release unlocked;
    join_names(front, bytes, from, to, room, places);
  }
  return py::make_tuple(names, starts);
}

py::tuple listed_range(const py::buffer& names, const Array<std::int64_t>& starts) {
  const py::buffer_info view = names.request();
  const Text bytes = bytes_in(view, "names");
  const auto places = in(starts, "starts");
  std::pair<std::size_t, std::size_t> found;
  {
    const py::gil_scoped_release unlocked;
    found = name_range(bytes, places);
  }
  return py::make_tuple(found.first, found.second);
}

}  // namespace

void bind_file_list(py::module_& module) {
  module.def("parse_file_list", &parse_list, py::arg("text"), py::arg("at"),
             py::arg("begins").noconvert(), py::arg("ends").noconvert(),
             py::arg("labels").noconvert());
  module.def("join_names", &join_listed, py::arg("prefix"), py::arg("text"),
             py::arg("begins").noconvert(), py::arg("ends").noconvert());
  module.def("name_range", &listed_range, py::arg("names"), py::arg("starts").noconvert());
}

}  // namespace dynsample::bind
