#include <memory>

#include "bind/bind.h"
#include "bind/views.h"
#include "core/prefix_tree.h"

namespace dynsample::bind {
namespace {

// Updates from arrays that are usable as they are; false when Python has to convert.
bool update(PrefixTree& tree, py::handle index, py::handle priorities) {
  View ids, values;
  if (!view(index, Kind::kIndex, ids) || !view(priorities, Kind::kSignal, values)) return false;
  const std::span floats(static_cast<const float*>(values.data), values.size);
  with_ids(ids, [&](const auto all) { tree.update(all, floats); });
  return true;
}

py::tuple draw(const PrefixTree& tree, std::uint32_t k, std::uint64_t seed, std::uint32_t step) {
  Array<std::int64_t> index(k);
  Array<float> probabilities(k);
  tree.draw(seed, step, out(index), out(probabilities));
  return py::make_tuple(index, probabilities);
}

}  // namespace

void bind_tree(py::module_& module) {
  py::class_<PrefixTree>(module, "PrefixTree")
      .def(py::init<std::size_t>(), py::arg("size"))
      .def("update", &update)
      .def("draw", &draw, py::arg("k"), py::arg("seed"), py::arg("step"))
      .def(
          "load",
          [](PrefixTree& tree, const Array<std::int64_t>& units) { tree.load(in(units, "units")); },
          py::arg("units").noconvert())
      .def("units",
           [](const PrefixTree& tree) {
             return Array<std::int64_t>(tree.size(), tree.units().data());
           })
      .def("total", &PrefixTree::total)
      .def("bits", &PrefixTree::bits)
      .def("max_priority", &PrefixTree::max_priority)
      .def("__len__", &PrefixTree::size);
}

}  // namespace dynsample::bind
