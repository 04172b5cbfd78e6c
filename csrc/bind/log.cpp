#include "core/log.h"

#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "bind/bind.h"
#include "bind/views.h"

namespace dynsample::bind {
namespace {

// The log with what it borrows kept alive.
struct Log {
  ObservationLog log;
  std::vector<py::str> names;
  py::object row_of = py::none();
  py::object allowed = py::none();

  Log(std::size_t num_samples, std::vector<py::str> signals, std::size_t max_bytes)
      : log(num_samples, signals.size(), max_bytes), names(std::move(signals)) {}
};

constexpr std::size_t kMaxSignals = 64;

// Appends what is usable as it is; false when Python has to convert, or to say what is wrong.
bool append(Log& self, py::handle index, py::handle signals) {
  if (!PyDict_CheckExact(signals.ptr())) return false;
  View ids;
  if (!view(index, Kind::kIndex, ids)) return false;
  const float* pointers[kMaxSignals];
  for (std::size_t s = 0; s < self.names.size(); ++s) {
    PyObject* value = PyDict_GetItemWithError(signals.ptr(), self.names[s].ptr());
    View one;
    if (!value || !view(value, Kind::kSignal, one) || one.size != ids.size) {
      if (PyErr_Occurred()) throw py::error_already_set();
      return false;
    }
    pointers[s] = static_cast<const float*>(one.data);
  }
  const std::span<const float* const> all(pointers, self.names.size());
  if (ids.wide) {
    self.log.append(std::span(static_cast<const std::int64_t*>(ids.data), ids.size), all);
  } else {
    self.log.append(std::span(static_cast<const std::int32_t*>(ids.data), ids.size), all);
  }
  return true;
}

void restore(Log& self, const Array<std::uint32_t>& rows,
             const std::vector<Array<float>>& signals) {
  if (signals.size() != self.names.size()) throw py::value_error("signals do not match the log's");
  std::vector<const float*> pointers;
  for (const Array<float>& one : signals) {
    if (in(one, "signals").size() != in(rows, "index").size()) {
      throw py::value_error("signals and index differ in length");
    }
    pointers.push_back(one.data());
  }
  self.log.restore(in(rows, "index"), pointers);
}

template <class T>
py::array_t<T> copy(std::span<const T> from) {
  py::array_t<T> to(from.size());
  if (!from.empty()) std::memcpy(to.mutable_data(), from.data(), from.size_bytes());
  return to;
}

}  // namespace

ObservationLog& log_of(py::handle object) { return object.cast<Log&>().log; }

void bind_log(py::module_& module) {
  module.def("register_torch", &register_torch, py::arg("torch"));
  py::class_<Log>(module, "ObservationLog")
      .def(py::init(
               [](std::size_t num_samples, std::vector<py::str> signals, std::size_t max_bytes) {
                 if (signals.size() > kMaxSignals)
                   throw py::value_error("signals must be at most 64");
                 return std::make_unique<Log>(num_samples, std::move(signals), max_bytes);
               }),
           py::arg("num_samples"), py::arg("signals"), py::arg("max_bytes"))
      .def("append", &append)
      .def(
          "set_rows",
          [](Log& self, const std::optional<Array<std::int32_t>>& row_of) {
            self.log.set_rows(row_of ? in(*row_of, "row_of") : std::span<const std::int32_t>());
            self.row_of = row_of ? py::object(*row_of) : py::none();
          },
          py::arg("row_of").noconvert())
      .def(
          "set_allowed",
          [](Log& self, const std::optional<Array<bool>>& allowed) {
            std::span<const std::uint8_t> mask;
            if (allowed) {
              mask = {reinterpret_cast<const std::uint8_t*>(in(*allowed, "allowed").data()),
                      static_cast<std::size_t>(allowed->size())};
            }
            self.log.set_allowed(mask);
            self.allowed = allowed ? py::object(*allowed) : py::none();
          },
          py::arg("allowed").noconvert())
      .def("reserve", [](Log& self, std::size_t count) { self.log.reserve(count); })
      .def("clear", [](Log& self) { self.log.clear(); })
      .def("restore", &restore, py::arg("index").noconvert(), py::arg("signals").noconvert())
      .def("__len__", [](const Log& self) { return self.log.size(); })
      .def("non_finite", [](const Log& self) { return self.log.non_finite(); })
      .def("binary",
           [](const Log& self) {
             std::vector<bool> binary;
             for (std::size_t s = 0; s < self.names.size(); ++s) {
               binary.push_back(self.log.binary(s));
             }
             return binary;
           })
      .def("index", [](const Log& self) { return copy(self.log.rows()); })
      .def("signal", [](const Log& self, std::size_t s) {
        if (s >= self.names.size()) throw py::index_error("no such signal");
        return copy(self.log.signal(s));
      });
}

}  // namespace dynsample::bind
