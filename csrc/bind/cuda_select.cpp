#include <pybind11/stl.h>

#include <cstring>

#include "bind/cuda.h"
#include "core/order_key.h"
#include "cuda/radix.h"
#include "cuda/select.h"
#include "cuda/sum.h"

namespace dynsample::bind {
namespace {

using cuda::Stream;

Rows rows(Stream, Address values, Address where, bool finite_only, std::size_t size, Address keys) {
  return {at<const float>(values), at<const std::uint8_t>(where), finite_only, size,
          at<const std::uint32_t>(keys)};
}

void hide_lowest(Stream stream, const py::function& allocate, const Rows& rows, std::size_t k,
                 Address mask) {
  LentScratch scratch(allocate);
  const py::gil_scoped_release unlocked;
  cuda::hide_lowest(rows, k, at<std::uint8_t>(mask), scratch, stream);
}

void mark_below(Stream stream, const py::function& allocate, const Rows& rows, std::uint32_t key,
                std::uint32_t equal, std::uint32_t ties, Address mask) {
  LentScratch scratch(allocate);
  const py::gil_scoped_release unlocked;
  cuda::mark(rows, key, equal, ties, at<std::uint8_t>(mask), scratch, stream);
}

std::vector<std::int64_t> sampled_rows(Stream, std::size_t rows) {
  return cuda::sampled_rows(rows);
}

void key_histogram(Stream stream, const Rows& rows, bool upper, std::uint32_t prefix,
                   Address counts) {
  const py::gil_scoped_release unlocked;
  cuda::key_histogram(rows, upper ? nullptr : &prefix, at<std::uint32_t>(counts), stream);
}

py::tuple tally(Stream stream, const py::function& allocate, const Rows& rows, std::uint32_t key) {
  LentScratch scratch(allocate);
  cuda::Tally found;
  {
    const py::gil_scoped_release unlocked;
    found = cuda::tally(rows, key, scratch, stream);
  }
  return py::make_tuple(found.below, found.equal);
}

void exact_sum(Stream stream, const Rows& rows, Address sums) {
  const py::gil_scoped_release unlocked;
  cuda::exact_sum(rows, at<WindowSums>(sums), stream);
}

py::tuple min_max(Stream stream, const py::function& allocate, const Rows& rows) {
  LentScratch scratch(allocate);
  KeyRange found;
  {
    const py::gil_scoped_release unlocked;
    found = cuda::extremes(rows, scratch, stream);
  }
  if (found.low == kNotEligibleKey || found.high == kNanKey) found = {kNanKey, kNanKey};
  const std::uint32_t bits[2] = {order_bits(found.low), order_bits(found.high)};
  float values[2];
  std::memcpy(values, bits, sizeof values);
  return py::make_tuple(values[0], values[1]);
}

}  // namespace

void bind_cuda_select(py::module_& module) {
  py::class_<Rows>(module, "Rows", py::module_local());
  module.def("rows", &rows);
  module.def("hide_lowest", &hide_lowest);
  module.def("mark_below", &mark_below);
  module.def("sampled_rows", &sampled_rows);
  module.def("key_histogram", &key_histogram);
  module.def("tally", &tally);
  module.def("exact_sum", &exact_sum);
  module.def("min_max", &min_max);
}

}  // namespace dynsample::bind
