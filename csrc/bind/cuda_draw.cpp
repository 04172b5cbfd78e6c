#include <pybind11/stl.h>

#include <optional>

#include "bind/cuda.h"
#include "cuda/bernoulli.h"
#include "cuda/draw.h"
#include "cuda/survey.h"

namespace dynsample::bind {
namespace {

using cuda::Stream;

std::optional<std::uint32_t> row_or_none(std::uint32_t row) {
  if (row == cuda::kNoRow) return std::nullopt;
  return row;
}

py::tuple survey(Stream stream, const py::function& allocate, Address p, std::size_t size) {
  LentScratch scratch(allocate);
  cuda::Survey found;
  {
    const py::gil_scoped_release unlocked;
    found = cuda::survey(at<const float>(p), size, scratch, stream);
  }
  return py::make_tuple(found.largest, found.positive, row_or_none(found.first_negative));
}

void exponent_sums(Stream stream, Address p, std::size_t size, float substitute, Address sums) {
  const py::gil_scoped_release unlocked;
  cuda::exponent_sums(at<const float>(p), size, substitute, at<std::uint64_t>(sums), stream);
}

void race_keys(Stream stream, Address p, std::size_t size, std::size_t first, float substitute,
               std::uint64_t seed, std::uint32_t epoch, Address keys) {
  const py::gil_scoped_release unlocked;
  cuda::race_keys(at<const float>(p), size, first, substitute, seed, epoch, at<std::uint32_t>(keys),
                  stream);
}

void cumulative_rates(Stream stream, const py::function& allocate, Address p, std::size_t size,
                      float substitute, double scale, Address until) {
  LentScratch scratch(allocate);
  const py::gil_scoped_release unlocked;
  cuda::cumulative_rates(at<const float>(p), size, substitute, scale, at<std::uint64_t>(until),
                         scratch, stream);
}

void systematic_counts(Stream stream, Address until, std::size_t num_rows, std::uint64_t before,
                       std::uint64_t total, std::uint32_t k, std::uint64_t seed,
                       std::uint32_t epoch, Address counts) {
  const py::gil_scoped_release unlocked;
  cuda::systematic_counts({at<const std::uint64_t>(until), num_rows}, before, total, k, seed, epoch,
                          at<std::uint32_t>(counts), stream);
}

void multinomial_points(Stream stream, std::uint64_t total, std::uint64_t seed, std::uint32_t epoch,
                        std::uint32_t first, std::size_t size, Address points) {
  const py::gil_scoped_release unlocked;
  cuda::multinomial_points(total, seed, epoch, first, size, at<std::uint64_t>(points), stream);
}

void multinomial_counts(Stream stream, Address until, std::size_t num_rows, std::uint64_t total,
                        std::uint32_t k, std::uint64_t seed, std::uint32_t epoch, Address counts) {
  const py::gil_scoped_release unlocked;
  cuda::multinomial_counts({at<const std::uint64_t>(until), num_rows}, total, k, seed, epoch,
                           at<std::uint32_t>(counts), stream);
}

bool count_points(Stream stream, const py::function& allocate, Address until, std::size_t num_rows,
                  std::uint64_t before, Address points, std::size_t size, Address counts) {
  LentScratch scratch(allocate);
  const py::gil_scoped_release unlocked;
  return cuda::count_points({at<const std::uint64_t>(until), num_rows}, before,
                            at<const std::uint64_t>(points), size, at<std::uint32_t>(counts),
                            scratch, stream);
}

void inverse_probabilities(Stream stream, Address until, std::size_t num_rows, std::uint64_t total,
                           std::uint64_t all_rows, Address out) {
  const py::gil_scoped_release unlocked;
  cuda::inverse_probabilities({at<const std::uint64_t>(until), num_rows}, total, all_rows,
                              at<float>(out), stream);
}

std::optional<std::uint32_t> power(Stream stream, const py::function& allocate, Address values,
                                   std::size_t size, double exponent, Address out) {
  LentScratch scratch(allocate);
  const py::gil_scoped_release unlocked;
  return row_or_none(
      cuda::power(at<const float>(values), size, exponent, at<float>(out), scratch, stream));
}

void exponentials(Stream stream, Address values, std::size_t size, Address out) {
  const py::gil_scoped_release unlocked;
  cuda::exp(at<const float>(values), size, at<float>(out), stream);
}

cuda::CdfPart cdf_part(Address values, Address where, std::size_t size, float low, float high) {
  return {at<const float>(values), at<const std::uint8_t>(where), size, {low, high}};
}

void cdf_counts(Stream stream, Address values, Address where, std::size_t size, float low,
                float high, Address counts) {
  const py::gil_scoped_release unlocked;
  cuda::cdf_counts(cdf_part(values, where, size, low, high), at<std::uint64_t>(counts), stream);
}

void cdf_keep(Stream stream, Address values, Address where, std::size_t size, float low, float high,
              Address keep_below, std::uint64_t seed, std::uint32_t epoch, std::size_t first,
              Address kept) {
  const py::gil_scoped_release unlocked;
  cuda::cdf_keep(cdf_part(values, where, size, low, high), at<const std::uint64_t>(keep_below),
                 seed, epoch, first, at<std::uint8_t>(kept), stream);
}

}  // namespace

void bind_cuda_draw(py::module_& module) {
  module.def("survey", &survey);
  module.def("exponent_sums", &exponent_sums);
  module.def("race_keys", &race_keys);
  module.def("cumulative_rates", &cumulative_rates);
  module.def("systematic_counts", &systematic_counts);
  module.def("multinomial_points", &multinomial_points);
  module.def("multinomial_counts", &multinomial_counts);
  module.def("count_points", &count_points);
  module.def("inverse_probabilities", &inverse_probabilities);
  module.def("power", &power);
  module.def("exp", &exponentials);
  module.def("cdf_counts", &cdf_counts);
  module.def("cdf_keep", &cdf_keep);
}

}  // namespace dynsample::bind
