#include "core/order.h"

#include "bind/bind.h"

namespace dynsample::bind {
namespace {

Array<std::int64_t> permute_slice(std::uint32_t n, std::uint64_t seed, std::uint32_t epoch,
                                  std::uint32_t stream, std::uint32_t start, std::uint32_t stop) {
  Array<std::int64_t> order(stop - start);
  const auto values = out(order);
  py::gil_scoped_release unlocked;
  permute(make_permutation(n, seed, epoch, stream), start, values);
  return order;
}

Array<std::int64_t> ordered_ids(const Array<std::uint32_t>& ids, std::uint64_t seed,
                                std::uint32_t epoch, std::uint32_t stream, std::uint32_t start,
                                std::uint32_t stop) {
  const auto id_span = in(ids, "ids");
  Array<std::int64_t> order(stop - start);
  const auto values = out(order);
  py::gil_scoped_release unlocked;
  const auto n = static_cast<std::uint32_t>(id_span.size());
  order_slice(make_permutation(n, seed, epoch, stream), id_span, start, values);
  return order;
}

Array<std::int64_t> positions(std::uint32_t n, const Array<std::int64_t>& values,
                              std::uint64_t seed, std::uint32_t epoch, std::uint32_t stream) {
  const auto value_span = in(values, "values");
  Array<std::int64_t> found(values.size());
  const auto result = out(found);
  py::gil_scoped_release unlocked;
  unpermute(make_permutation(n, seed, epoch, stream), value_span, result);
  return found;
}

}  // namespace

void bind_order(py::module_& module) {
  module.def("permute", &permute_slice, py::arg("n"), py::arg("seed"), py::arg("epoch"),
             py::arg("stream"), py::arg("start"), py::arg("stop"));
  module.def("order_slice", &ordered_ids, py::arg("ids").noconvert(), py::arg("seed"),
             py::arg("epoch"), py::arg("stream"), py::arg("start"), py::arg("stop"));
  module.def("unpermute", &positions, py::arg("n"), py::arg("values").noconvert(), py::arg("seed"),
             py::arg("epoch"), py::arg("stream"));
}

}  // namespace dynsample::bind
