#include "bind/log.h"

#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <vector>

#include "bind/rows.h"
#include "bind/views.h"

namespace dynsample::bind {
namespace {

// The log, with the mask that it borrows kept alive.
struct Log {
  ObservationLog log;
  std::vector<py::str> names;
  py::object allowed = py::none(), open = py::none();

  Log(std::size_t num_samples, std::vector<py::str> signals, std::size_t max_bytes)
      : log(num_samples, signals.size(), max_bytes), names(std::move(signals)) {}
};

constexpr std::size_t kMaxSignals = 64;

// Appends what is usable as it is; false when Python has to convert, or to say what is wrong.
bool append_of(Log& self, py::handle index, py::handle signals, std::int64_t plan) {
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
  with_ids(ids, [&](const auto index) { self.log.append(index, all, plan); });
  return true;
}

bool append(Log& self, py::handle index, py::handle signals) {
  return append_of(self, index, signals, kAnyPlan);
}

using OptionalWeights = std::optional<Array<float>>;

// None when Python has to convert, or to say what is wrong.
py::object weights(const Log& self, py::handle index, const OptionalWeights& given) {
  View ids;
  if (!view(index, Kind::kIndex, ids)) return py::none();
  const auto weights = given ? in(*given, "weights") : std::span<const float>();
  Array<float> result(static_cast<py::ssize_t>(ids.size));
  with_ids(ids, [&](const auto index) { self.log.weights(index, weights, out(result)); });
  return result;
}

py::object rows_of_ids(const Log& self, py::handle index) {
  View ids;
  if (!view(index, Kind::kIndex, ids)) return py::none();
  Array<std::uint32_t> rows(static_cast<py::ssize_t>(ids.size));
  with_ids(ids, [&](const auto index) { self.log.rows_of(index, out(rows)); });
  return rows;
}

void restore(Log& self, const Array<std::uint32_t>& rows, const std::vector<Array<float>>& signals,
             std::size_t num_folded) {
  if (signals.size() != self.names.size()) throw py::value_error("signals do not match the log's");
  std::vector<const float*> pointers;
  for (const Array<float>& one : signals) {
    if (in(one, "signals").size() != in(rows, "index").size()) {
      throw py::value_error("signals and index differ in length");
    }
    pointers.push_back(one.data());
  }
  const auto from = in(rows, "index");
  const py::gil_scoped_release unlocked;
  self.log.restore(from, pointers, num_folded);
}

using OpenPlans = std::vector<std::pair<std::int64_t, OptionalMask>>;
using OptionalRows = std::optional<Array<std::int32_t>>;

void set_rows(Log& self, const OptionalRows& row_of) {
  std::optional<std::span<const std::int32_t>> map;
  if (row_of) map = in(*row_of, "row_of");
  self.log.set_rows(map);
}

// Nobody reads the mask before when the log has another, and it may go.
void set_allowed(Log& self, const OptionalMask& allowed, const OpenPlans& open) {
  const auto span_of = [](const OptionalMask& mask) -> ObservationLog::Allowed {
    if (!mask) return {};
    return {bytes(*mask), in(*mask, "allowed").size()};
  };
  std::vector<ObservationLog::Open> plans;
  for (const auto& [plan, mask] : open) plans.push_back({plan, span_of(mask)});
  self.log.set_allowed(span_of(allowed), std::move(plans));
  self.allowed = allowed ? py::object(*allowed) : py::none();
  self.open = py::cast(open);
}

// Plan that each observation of the closed part names, -1 for none; None when no one names any.
py::object named(Log& self) {
  bool any = false;
  Buffer<std::int64_t> plans = read_closed(self.log, [&](const Observations& closed) {
    const auto runs = closed.named();
    any = !runs.empty();
    Buffer<std::int64_t> all;
    if (any) all.assign(closed.size(), kAnyPlan);
    for (std::size_t r = 0; r < runs.size(); ++r) {
      const std::size_t end = r + 1 < runs.size() ? runs[r + 1].begin : closed.size();
      std::fill(all.data() + runs[r].begin, all.data() + end, runs[r].plan);
    }
    return all;
  });
  return any ? py::object(owned(std::move(plans))) : py::none();
}

std::vector<bool> binary(Log& self) {
  return read_closed(self.log, [](const Observations& closed) {
    std::vector<bool> all;
    for (std::size_t s = 0; s < closed.num_signals(); ++s) all.push_back(closed.binary(s));
    return all;
  });
}

Array<std::uint32_t> closed_rows(Log& self) {
  return owned(read_closed(self.log, [](const Observations& closed) {
    return Buffer<std::uint32_t>(closed.rows().begin(), closed.rows().end());
  }));
}

Array<float> closed_signal(Log& self, std::size_t s) {
  if (s >= self.names.size()) throw py::index_error("no such signal");
  return owned(read_closed(self.log, [s](const Observations& closed) {
    return Buffer<float>(closed.signal(s).begin(), closed.signal(s).end());
  }));
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
      .def("append_of", &append_of)
      .def("named", &named)
      .def("weights", &weights, py::arg("index"), py::arg("weights").noconvert())
      .def("rows_of", &rows_of_ids, py::arg("index"))
      .def("set_rows", &set_rows, py::arg("row_of").noconvert())
      .def("set_allowed", &set_allowed, py::arg("allowed").noconvert(),
           py::arg("open") = OpenPlans())
      .def("reserve", [](Log& self, std::size_t count) { self.log.reserve(count); })
      .def(
          "close", [](Log& self) { self.log.close(); }, py::call_guard<py::gil_scoped_release>())
      .def(
          "drop_closed", [](Log& self, bool folded) { self.log.drop_closed(folded); },
          py::arg("folded"), py::call_guard<py::gil_scoped_release>())
      .def(
          "clear", [](Log& self) { self.log.clear(); }, py::call_guard<py::gil_scoped_release>())
      .def("restore", &restore, py::arg("index").noconvert(), py::arg("signals").noconvert(),
           py::arg("num_folded") = 0)
      .def("__len__", [](const Log& self) { return self.log.size(); })
      .def_property_readonly("num_closed", [](const Log& self) { return self.log.num_closed(); })
      .def_property_readonly("num_folded", [](const Log& self) { return self.log.num_folded(); })
      .def("non_finite",
           [](Log& self) {
             return read_closed(self.log, [](const Observations& all) { return all.non_finite(); });
           })
      .def("binary", &binary)
      .def("index", &closed_rows)
      .def("signal", &closed_signal, py::arg("s"));
}

}  // namespace dynsample::bind
