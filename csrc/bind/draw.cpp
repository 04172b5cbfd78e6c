#include "core/draw.h"

#include "bind/bind.h"
#include "bind/rows.h"
#include "core/bernoulli.h"
#include "core/pass_rate.h"
#include "core/race.h"
#include "core/streams.h"

namespace dynsample::bind {
namespace {

DrawMethod method_of(bool multinomial) {
  return multinomial ? DrawMethod::kMultinomial : DrawMethod::kSystematic;
}

Array<std::int64_t> drawn(const Array<float>& probabilities, std::uint32_t k, std::uint64_t seed,
                          std::uint32_t epoch, bool multinomial) {
  const auto p = in(probabilities, "probabilities");
  Array<std::int64_t> rows(k);
  const auto result = out(rows);
  py::gil_scoped_release unlocked;
  draw(p, seed, epoch, method_of(multinomial), result);
  return rows;
}

Array<bool> mask_of(const Array<float>& probabilities, std::size_t k, std::uint64_t seed,
                    std::uint32_t epoch, std::uint32_t stream) {
  const auto p = in(probabilities, "probabilities");
  Array<bool> mask(probabilities.size());
  const std::span<std::uint8_t> result = flags_of(mask);
  py::gil_scoped_release unlocked;
  draw_mask(p, k, seed, epoch, stream, result);
  return mask;
}

Array<bool> sample_of(std::size_t size, const OptionalMask& where, std::size_t k,
                      std::uint64_t seed, std::uint32_t epoch) {
  check_num_rows(size);
  std::span<const std::uint8_t> flags;
  if (where) flags = {bytes(*where), in(*where, "where").size()};
  if (where && flags.size() != size) {
    throw py::value_error("where must have " + std::to_string(size) + " rows, got " +
                          std::to_string(flags.size()));
  }
  Array<bool> mask(static_cast<py::ssize_t>(size));
  const std::span<std::uint8_t> result = flags_of(mask);
  py::gil_scoped_release unlocked;
  sample_mask(flags, k, seed, epoch, result);
  return mask;
}

py::tuple informative_of(const Array<float>& rates, bool gaussian, float target, float width,
                         float eps, float retire) {
  const auto rate_span = in(rates, "rates");
  Array<float> probabilities(rates.size());
  const auto result = out(probabilities);
  PassRateCounts counts;
  {
    py::gil_scoped_release unlocked;
    counts = informative(rate_span, {gaussian, target, width, eps, retire}, result);
  }
  return py::make_tuple(probabilities, counts.outside, counts.retired, counts.positive);
}

Array<float> powers(const Array<float>& values, double exponent) {
  const auto value_span = in(values, "values");
  Array<float> raised(values.size());
  const auto result = out(raised);
  py::gil_scoped_release unlocked;
  power(value_span, exponent, result);
  return raised;
}

Array<float> exponentials_of(const Array<float>& values) {
  const auto value_span = in(values, "values");
  Array<float> found(values.size());
  const auto result = out(found);
  py::gil_scoped_release unlocked;
  exponentials(value_span, result);
  return found;
}

}  // namespace

void bind_draw(py::module_& module) {
  module.def("draw", &drawn, py::arg("probabilities").noconvert(), py::arg("k"), py::arg("seed"),
             py::arg("epoch"), py::arg("multinomial"));
  module.def("draw_mask", &mask_of, py::arg("probabilities").noconvert(), py::arg("k"),
             py::arg("seed"), py::arg("epoch"), py::arg("stream") = std::uint32_t{kRace});
  module.def("sample_mask", &sample_of, py::arg("size"), py::arg("where").noconvert(), py::arg("k"),
             py::arg("seed"), py::arg("epoch"));
  module.def("informative", &informative_of, py::arg("rates").noconvert(), py::arg("gaussian"),
             py::arg("target"), py::arg("width"), py::arg("eps"), py::arg("retire"));
  module.def("power", &powers, py::arg("values").noconvert(), py::arg("exponent"));
  module.def("exp", &exponentials_of, py::arg("values").noconvert());
}

}  // namespace dynsample::bind
