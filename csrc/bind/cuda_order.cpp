#include "bind/cuda.h"
#include "core/permute.h"
#include "cuda/order.h"
#include "cuda/primitives.h"

namespace dynsample::bind {
namespace {

using cuda::Stream;

void order_slice(Stream stream, std::uint32_t n, std::uint64_t seed, std::uint32_t epoch,
                 std::uint32_t number, Address ids, std::uint32_t first, std::size_t size,
                 Address out) {
  const py::gil_scoped_release unlocked;
  cuda::order_slice(make_permutation(n, seed, epoch, number), at<const std::uint32_t>(ids), first,
                    size, at<std::uint32_t>(out), stream);
}

void mark_slice(Stream stream, std::uint32_t n, std::uint64_t seed, std::uint32_t epoch,
                std::uint32_t number, std::uint32_t first, std::size_t size, Address mask) {
  const py::gil_scoped_release unlocked;
  cuda::mark_slice(make_permutation(n, seed, epoch, number), first, size, at<std::uint8_t>(mask),
                   stream);
}

void select_ids(Stream stream, const py::function& allocate, Address mask, bool invert,
                std::size_t size, Address ids, Address count) {
  LentScratch scratch(allocate);
  const py::gil_scoped_release unlocked;
  cuda::select_ids(at<const std::uint8_t>(mask), invert, size, at<std::uint32_t>(ids),
                   at<std::uint32_t>(count), scratch, stream);
}

void repeat_rows(Stream stream, const py::function& allocate, Address counts, std::size_t num_rows,
                 std::size_t size, Address out) {
  LentScratch scratch(allocate);
  const py::gil_scoped_release unlocked;
  auto* const until = scratch.array<std::uint64_t>(num_rows);
  cuda::inclusive_sum(at<const std::uint32_t>(counts), until, num_rows, scratch, stream);
  cuda::repeat_rows(until, num_rows, size, at<std::uint32_t>(out), stream);
}

}  // namespace

void bind_cuda_order(py::module_& module) {
  module.def("order_slice", &order_slice);
  module.def("mark_slice", &mark_slice);
  module.def("select_ids", &select_ids);
  module.def("repeat_rows", &repeat_rows);
}

}  // namespace dynsample::bind
