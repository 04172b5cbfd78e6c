#include "core/fold.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "bind/bind.h"
#include "bind/columns.h"
#include "bind/log.h"
#include "core/match.h"

namespace dynsample::bind {
namespace {

// A writable array of exactly `size` elements of T in any shape; bytes are numpy's bools.
template <class T>
T* elements(py::handle array, std::size_t size, const char* name) {
  using Element = std::conditional_t<std::is_same_v<T, std::uint8_t>, bool, T>;
  using Exact = py::array_t<Element, py::array::c_style>;
  if (!Exact::check_(array)) {
    throw py::type_error(std::string(name) + " must be a contiguous array of " +
                         std::string(py::str(py::dtype::of<Element>())));
  }
  auto typed = py::reinterpret_borrow<Exact>(array);
  if (static_cast<std::size_t>(typed.size()) != size) {
    throw py::value_error(std::string(name) + " must have " + std::to_string(size) +
                          " elements, got " + std::to_string(typed.size()));
  }
  return reinterpret_cast<T*>(typed.mutable_data());  // an error when read-only
}

// Lends the arrays of a column of n rows.
class ArrayLender : public Lender {
 public:
  ArrayLender(double parameter, const py::dict& parts, std::size_t n)
      : Lender(parameter, parts), n_(n) {}

  template <class T>
  void part(const char* name, T*& array, std::size_t per_row = 1) const {
    array = elements<T>(find(name), n_ * per_row, name);
  }

 private:
  std::size_t n_;
};

// Of each column: kind, number of its signal, parameter, parts.
using Specs = std::vector<std::tuple<std::string, std::size_t, double, py::dict>>;

std::vector<Column> columns_of(const Specs& specs, std::size_t n, std::size_t num_signals) {
  std::vector<Column> columns;
  for (const auto& [kind, signal, parameter, parts] : specs) {
    if (signal >= num_signals) throw py::index_error("no such signal");
    columns.push_back({signal, make_rule(kind, ArrayLender(parameter, parts, n))});
  }
  return columns;
}

using Tickets = std::optional<Array<std::int64_t>>;

std::span<const std::int64_t> span_of(const Tickets& tickets) {
  return tickets ? in(*tickets, "tickets") : std::span<const std::int64_t>();
}

void fold_log(py::handle log, const std::vector<std::pair<Specs, Tickets>>& portions,
              const py::object& seen) {
  ObservationLog& observations = log_of(log);
  const std::size_t n = observations.num_samples();
  std::vector<std::vector<Column>> columns;
  std::vector<Portion> given;
  for (const auto& [specs, tickets] : portions) {
    columns.push_back(columns_of(specs, n, observations.num_signals()));
    given.push_back({columns.back(), span_of(tickets)});
  }
  const std::span marks(elements<std::uint8_t>(seen, n, "seen"), n);
  py::gil_scoped_release unlocked;
  fold(observations, given, marks);
}

// (shift, whether there are tickets, [(number of a signal, whether it is a bit), ...])
using LayoutSpec = std::tuple<int, bool, std::vector<std::pair<std::size_t, bool>>>;

Layout layout_of(const LayoutSpec& spec) {
  const auto& [shift, tickets, signals] = spec;
  if (shift < 0 || shift > 32) throw py::value_error("shift must be in [0, 32]");
  Layout layout{shift, tickets, {}};
  for (const auto& [number, bit] : signals) layout.signals.push_back({number, bit});
  return layout;
}

py::tuple pack_log(py::handle log, const LayoutSpec& spec, const Tickets& tickets) {
  ObservationLog& observations = log_of(log);
  const Layout layout = layout_of(spec);
  for (const Layout::Signal& signal : layout.signals) {
    if (signal.number >= observations.num_signals()) throw py::index_error("no such signal");
  }
  const auto order = span_of(tickets);
  Buffer<std::uint32_t> records;
  const std::vector<std::size_t> starts =
      read_closed(observations, [&](const Observations& closed) {
        return pack(closed, observations.num_samples(), layout, order, records);
      });
  return py::make_tuple(
      owned(std::move(records)),
      py::array_t<std::uint64_t>(static_cast<py::ssize_t>(starts.size()), starts.data()));
}

using Packed = std::pair<Array<std::uint32_t>, Array<std::uint64_t>>;

// Raised for a packed log that is not of the columns: it may have come from another process.
class PackedError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// Logs of all blocks of n rows, one of each rank; row 0 of the columns is row 0 of the first one.
void fold_packed(const std::vector<Packed>& packed, const LayoutSpec& spec, const Specs& specs,
                 const py::object& seen, std::size_t n) {
  const Layout layout = layout_of(spec);
  const auto columns = columns_of(specs, n, SIZE_MAX);
  const std::span marks(elements<std::uint8_t>(seen, n, "seen"), n);
  std::vector<std::vector<std::size_t>> starts;
  for (const auto& one : packed) {
    const std::span<const std::uint64_t> places = in(one.second, "starts");
    starts.emplace_back(places.begin(), places.end());
  }
  std::vector<Segment> segments;
  for (std::size_t rank = 0; rank < packed.size(); ++rank) {
    segments.push_back({in(packed[rank].first, "records"), starts[rank]});
    try {
      check_segment(segments[rank], layout, n);
    } catch (const std::invalid_argument& error) {
      throw PackedError("the log of rank " + std::to_string(rank) + " " + error.what());
    }
  }
  py::gil_scoped_release unlocked;
  fold(segments, layout, columns, marks);
}

std::span<const std::uint32_t> rows_from(const Observations& closed, std::size_t first) {
  if (first > closed.size()) throw std::invalid_argument("first is beyond the log");
  return closed.rows().subspan(first);
}

bool all_of_log_issued(const Array<std::uint32_t>& issued, py::handle log, std::size_t first,
                       bool unique) {
  const auto from = in(issued, "issued");
  ObservationLog& observations = log_of(log);
  return read_closed(observations, [&](const Observations& closed) {
    return all_issued(from, rows_from(closed, first), observations.num_samples(), unique);
  });
}

// Places of the observations from `first` on, and how many have none.
py::tuple match_log(const Array<std::uint32_t>& issued, py::handle log, std::size_t first) {
  const auto from = in(issued, "issued");
  ObservationLog& observations = log_of(log);
  Buffer<std::int64_t> places;
  const std::size_t unmatched = read_closed(observations, [&](const Observations& closed) {
    const auto observed = rows_from(closed, first);
    places.resize(observed.size());
    return match(from, observed, observations.num_samples(), places);
  });
  return py::make_tuple(owned(std::move(places)), unmatched);
}

// The same of any rows, where several plans were issued.
Array<std::int64_t> match_plans(const Array<std::uint32_t>& issued,
                                const std::vector<std::size_t>& starts,
                                const Array<std::uint32_t>& observed,
                                const Array<std::int32_t>& plans, std::size_t num_rows) {
  const auto from = in(issued, "issued"), rows = in(observed, "observed");
  const auto of = in(plans, "plans");
  Array<std::int64_t> places(static_cast<py::ssize_t>(rows.size()));
  const auto found = out(places);
  const py::gil_scoped_release unlocked;
  match(from, starts, rows, of, num_rows, found);
  return places;
}

}  // namespace

void bind_fold(py::module_& module) {
  py::register_exception<PackedError>(module, "PackedError", PyExc_ValueError);
  module.def("fold", &fold_log, py::arg("log"), py::arg("portions"), py::arg("seen"));
  module.def("pack", &pack_log, py::arg("log"), py::arg("layout"), py::arg("tickets").noconvert());
  module.def("fold_packed", &fold_packed, py::arg("packed").noconvert(), py::arg("layout"),
             py::arg("columns"), py::arg("seen"), py::arg("num_rows"));
  module.def("all_issued", &all_of_log_issued, py::arg("issued").noconvert(), py::arg("log"),
             py::arg("first"), py::arg("unique"));
  module.def("match", &match_log, py::arg("issued").noconvert(), py::arg("log"), py::arg("first"));
  module.def("match_plans", &match_plans, py::arg("issued").noconvert(), py::arg("starts"),
             py::arg("observed").noconvert(), py::arg("plans").noconvert(), py::arg("num_rows"));
}

}  // namespace dynsample::bind
