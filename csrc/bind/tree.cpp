#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "bind/bind.h"
#include "bind/views.h"
#include "core/prefix_tree.h"
#include "core/snapshot.h"

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

void check_range(const PrefixTree& tree, std::size_t start, std::size_t end) {
  if (start > end || end > tree.size()) {
    throw std::out_of_range("start and end must be in [0, " + std::to_string(tree.size()) +
                            "] and ascend, got " + std::to_string(start) + " and " +
                            std::to_string(end));
  }
}

py::tuple draw(const PrefixTree& tree, std::uint32_t k, std::uint64_t seed, std::uint32_t step) {
  Array<std::int64_t> index(k);
  Array<float> probabilities(k);
  tree.draw(seed, step, out(index), out(probabilities));
  return py::make_tuple(index, probabilities);
}

// The priorities of ids, in units; throws std::out_of_range for one beyond the leaves.
Array<std::int64_t> units_of(const PrefixTree& tree, const Array<std::int64_t>& index) {
  const std::span<const std::int64_t> ids = in(index, "index"), units = tree.units();
  Array<std::int64_t> taken(static_cast<py::ssize_t>(ids.size()));
  std::int64_t* to = out(taken).data();
  for (const std::int64_t& at : ids) {
    const std::int64_t id = read_once(at);
    if (static_cast<std::uint64_t>(id) >= units.size()) {
      throw std::out_of_range("index must be in [0, " + std::to_string(units.size()) +
                              "), got id " + std::to_string(id));
    }
    *to++ = units[static_cast<std::size_t>(id)];
  }
  return taken;
}

// The sum of the leaves in [start, end), in units.
std::int64_t sum(const PrefixTree& tree, std::size_t start, std::size_t end) {
  check_range(tree, start, end);
  return tree.sum_before(end) - tree.sum_before(start);
}

// The smallest positive leaf in [start, end), 0 where there is none.
std::int64_t min(const PrefixTree& tree, std::size_t start, std::size_t end) {
  check_range(tree, start, end);
  std::uint64_t least = 0;
  for (const std::int64_t unit : tree.units().subspan(start, end - start)) {
    least = std::min(least - 1, static_cast<std::uint64_t>(unit) - 1) + 1;  // 0 comes last
  }
  return static_cast<std::int64_t>(least);
}

}  // namespace

void bind_tree(py::module_& module) {
  py::class_<PrefixTree>(module, "PrefixTree")
      .def(py::init<std::size_t>(), py::arg("size"))
      .def("update", &update)
      .def("draw", &draw, py::arg("k"), py::arg("seed"), py::arg("step"))
      .def(
          "load",
          [](PrefixTree& tree, const Array<std::int64_t>& units, double largest) {
            tree.load(in(units, "units"), largest);
          },
          py::arg("units").noconvert(), py::arg("largest"))
      .def("units",
           [](const PrefixTree& tree) {
             return Array<std::int64_t>(tree.size(), tree.units().data());
           })
      .def("units_of", &units_of, py::arg("index").noconvert())
      .def("sum", &sum, py::arg("start"), py::arg("end"))
      .def("min", &min, py::arg("start"), py::arg("end"))
      .def("largest", &PrefixTree::largest)
      .def("total", &PrefixTree::total)
      .def("bits", &PrefixTree::bits)
      .def("max_priority", &PrefixTree::max_priority)
      .def("__len__", &PrefixTree::size);
}

}  // namespace dynsample::bind
