#include "core/digest.h"

#include "bind/bind.h"

namespace dynsample::bind {
namespace {

py::tuple digest_words(std::uint64_t seed, std::uint32_t epoch,
                       const Array<std::int64_t>& positions, const Array<std::int64_t>& ids,
                       const Array<float>& weights) {
  const auto position_span = in(positions, "positions");
  const auto id_span = in(ids, "ids");
  const auto weight_span = in(weights, "weights");
  unsigned __int128 sum = 0;
  {
    py::gil_scoped_release unlocked;
    sum = digest(seed, epoch, position_span, id_span, weight_span);
  }
  return py::make_tuple(static_cast<std::uint64_t>(sum >> 64), static_cast<std::uint64_t>(sum));
}

}  // namespace

void bind_digest(py::module_& module) {
  module.def("digest", &digest_words, py::arg("seed"), py::arg("epoch"),
             py::arg("positions").noconvert(), py::arg("ids").noconvert(),
             py::arg("weights").noconvert());
}

}  // namespace dynsample::bind
