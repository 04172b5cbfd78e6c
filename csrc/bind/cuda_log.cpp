#include <iterator>
#include <stdexcept>
#include <string>

#include "bind/cuda.h"
#include "cuda/log.h"
#include "cuda/signals.h"

namespace dynsample::bind {
namespace {

using cuda::LogHeader;
using cuda::LogParts;
using cuda::Numbers;
using cuda::Stream;
using cuda::Type;

// Address, type and stride, out of a flat tuple.
Numbers numbers(const py::tuple& flat, std::size_t n) {
  return {at<const void>(flat[3 * n].cast<Address>()), flat[3 * n + 2].cast<std::int64_t>(),
          static_cast<Type>(flat[3 * n + 1].cast<std::int32_t>())};
}

// `flat`: the numbers of the index, then of every signal of the log.
void append_log(Stream stream, Address log, std::size_t count, const py::tuple& flat) {
  const std::size_t size = flat.size() / 3;
  if (size < 1 || size > 1 + cuda::kMostSignals) {
    throw std::invalid_argument("an observation has an index and at most " +
                                std::to_string(cuda::kMostSignals) + " signals");
  }
  cuda::Observation batch = {numbers(flat, 0), count, {}, static_cast<int>(size) - 1};
  for (std::size_t s = 1; s < size; ++s) batch.signals[s - 1] = numbers(flat, s);
  const py::gil_scoped_release unlocked;
  cuda::append(at<LogHeader>(log), batch, stream);
}

// `output`: the numbers of the logits, whose stride is that of rows, and of the targets. `slots`:
// as cuda::Wanted.
void append_signals(Stream stream, Address log, std::size_t count, std::size_t classes,
                    const py::tuple& output, const py::tuple& slots) {
  const Numbers logits = numbers(output, 0);
  std::int32_t slot[10];
  if (slots.size() != std::size(slot)) throw std::invalid_argument("slots must be 10");
  for (std::size_t i = 0; i < slots.size(); ++i) slot[i] = slots[i].cast<std::int32_t>();
  const cuda::Wanted wanted = {slot[0], slot[1], slot[2], slot[3], slot[4],
                               slot[5], slot[6], slot[7], slot[8], slot[9]};
  const cuda::Output model = {logits.data, logits.type, logits.stride,
                              count,       classes,     numbers(output, 1)};
  const py::gil_scoped_release unlocked;
  cuda::append_signals(at<const LogHeader>(log), model, wanted, stream);
}

py::tuple counts(const LogHeader& header) {
  return py::make_tuple(header.observed, header.out_of_range, header.first_out_of_range,
                        header.not_allowed, header.first_not_allowed, header.lost);
}

// Gives the counts that are there then.
py::tuple point_log(Stream stream, Address log, std::int64_t capacity, Address rows, Address values,
                    Address row_of, std::int64_t num_ids, Address allowed) {
  LogHeader header = {};
  header.capacity = capacity;
  header.rows = at<std::uint32_t>(rows);
  header.values = at<float>(values);
  header.row_of = at<const std::int32_t>(row_of);
  header.num_ids = num_ids;
  header.allowed = at<const std::uint8_t>(allowed);
  {
    const py::gil_scoped_release unlocked;
    header = cuda::point_log(at<LogHeader>(log), header, stream);
  }
  return counts(header);
}

void load_step(Stream stream) {
  const py::gil_scoped_release unlocked;
  cuda::load_append(stream);
  cuda::load_signals(stream);
}

py::tuple log_counts(Stream stream, Address log) {
  const LogHeader header = [&] {
    const py::gil_scoped_release unlocked;
    return cuda::read_log(at<const LogHeader>(log), stream);
  }();
  return counts(header);
}

std::int64_t close_log(Stream stream, const py::function& allocate, Address log, LogParts& parts,
                       std::int64_t open_capacity, std::int64_t capacity, Address rows,
                       Address values, int num_signals) {
  const cuda::LogMemory memory{capacity, at<std::uint32_t>(rows), at<float>(values)};
  LentScratch scratch(allocate);
  const py::gil_scoped_release unlocked;
  return cuda::close_log(at<LogHeader>(log), parts, open_capacity, memory, num_signals, scratch,
                         stream);
}

// Sets all content to `closed` observations that are in their memory.
void reset_log(Stream stream, Address log, LogParts& parts, std::int64_t closed,
               std::int64_t num_folded, std::int64_t non_finite) {
  const py::gil_scoped_release unlocked;
  cuda::reset_log(at<LogHeader>(log), stream);
  parts.closed = {};
  parts.closed.observed = closed;
  parts.num_folded = num_folded;
  parts.non_finite = non_finite;
}

}  // namespace

void bind_cuda_log(py::module_& module) {
  module.attr("LOG_BYTES") = cuda::kLogBytes;
  py::class_<LogParts>(module, "LogParts", py::module_local())
      .def(py::init())
      .def_readonly("open", &LogParts::open)
      .def_readonly("non_finite", &LogParts::non_finite)
      .def_readonly("num_folded", &LogParts::num_folded)
      .def_property_readonly("num_closed", &LogParts::num_closed)
      .def_property_readonly("counts", [](const LogParts& parts) { return counts(parts.closed); })
      .def("drop", &LogParts::drop);
  module.attr("MOST_SIGNALS") = cuda::kMostSignals;
  module.def("append_log", &append_log);
  module.def("append_signals", &append_signals);
  module.def("load_step", &load_step);
  module.def("point_log", &point_log);
  module.def("close_log", &close_log);
  module.def("reset_log", &reset_log);
  module.def("log_counts", &log_counts);
  module.def("settle", &cuda::settle, py::call_guard<py::gil_scoped_release>());
}

}  // namespace dynsample::bind
