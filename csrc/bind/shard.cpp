// Parts of reductions and draws whose rows are spread over ranks; dynsample.table.reductions puts
// them together.
#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "bind/bind.h"
#include "bind/rows.h"
#include "core/bernoulli.h"
#include "core/draw.h"
#include "core/race.h"
#include "core/radix.h"
#include "core/sum.h"

namespace dynsample::bind {
namespace {

template <class T>
py::array_t<T> copy_of(const T* from, std::size_t size) {
  return py::array_t<T>(static_cast<py::ssize_t>(size), from);
}

// Rows of this rank that a selection is among, with what they borrow kept alive.
class Candidates {
 public:
  Candidates(Array<float> values, OptionalMask where, bool finite_only)
      : values_(std::move(values)),
        where_(std::move(where)),
        rows_(rows(values_, where_, finite_only, "values", "where")) {}

  Candidates(const Array<float>& probabilities, std::size_t first, float substitute,
             std::uint64_t seed, std::uint32_t epoch) {
    const auto p = in(probabilities, "probabilities");
    check_num_rows(p.size());
    py::gil_scoped_release unlocked;
    keys_ = race_keys(p, first, substitute, seed, epoch);
    rows_.size = p.size();
    rows_.keys = keys_.data();
  }

  std::size_t count() const {
    py::gil_scoped_release unlocked;
    return count_eligible(rows_);
  }

  py::array_t<std::uint32_t> histogram(std::optional<std::uint32_t> prefix) const {
    std::vector<std::uint32_t> counts;
    {
      py::gil_scoped_release unlocked;
      counts = key_histogram(rows_, prefix ? &*prefix : nullptr);
    }
    return copy_of(counts.data(), counts.size());
  }

  std::pair<std::size_t, std::size_t> tally(std::uint32_t key) {
    py::gil_scoped_release unlocked;
    tally_ = dynsample::tally(rows_, key);
    const auto [below, equal] = tally_->total();
    return {below, equal};
  }

  Array<bool> mark(std::size_t ties) const {
    if (!tally_) throw std::logic_error("mark() marks by the last tally(), and there was none");
    Array<bool> mask(static_cast<py::ssize_t>(rows_.size));
    const auto flags = flags_of(mask);
    py::gil_scoped_release unlocked;
    dynsample::mark(rows_, *tally_, ties, flags.data());
    return mask;
  }

 private:
  Array<float> values_;
  OptionalMask where_;
  KeyBuffer keys_;
  Rows rows_ = {};
  std::optional<Tally> tally_;
};

py::array_t<std::int64_t> sum_parts(const Array<float>& values, const OptionalMask& where,
                                    bool finite_only) {
  const Rows column = rows(values, where, finite_only, "values", "where");
  WindowSums sums;
  {
    py::gil_scoped_release unlocked;
    sums = exact_sum(column);
  }
  return copy_of(reinterpret_cast<const std::int64_t*>(&sums), kSumIntegers);
}

py::tuple rounded_sum(const Array<std::int64_t>& parts) {
  if (in(parts, "parts").size() != kSumIntegers) throw py::value_error("not the parts of a sum");
  WindowSums sums;
  std::memcpy(&sums, parts.data(), sizeof sums);
  return py::make_tuple(rounded(sums), count(sums));
}

py::tuple survey(const Array<float>& probabilities) {
  const auto p = in(probabilities, "probabilities");
  py::gil_scoped_release unlocked;
  const Probabilities found = check_probabilities(p);
  py::gil_scoped_acquire locked;
  return py::make_tuple(found.largest, found.positive);
}

RateScale scale_of(const Array<std::uint64_t>& sums, float substitute, std::uint32_t k) {
  ExponentSums all;
  if (in(sums, "sums").size() != all.size()) throw py::value_error("sums must have 256 entries");
  std::ranges::copy(in(sums, "sums"), all.begin());
  return rate_scale(all, substitute, k);
}

// The rates of this rank's rows, with the probabilities kept alive.
class RatesPart {
 public:
  RatesPart(Array<float> probabilities, const Array<std::uint64_t>& sums, float substitute,
            std::uint32_t k)
      : probabilities_(std::move(probabilities)),
        rates_(make(probabilities_, sums, substitute, k)) {}

  std::uint64_t total() const { return rates_.total(); }

  Array<std::uint32_t> systematic(std::uint64_t before, std::uint64_t total, std::uint32_t k,
                                  std::uint64_t seed, std::uint32_t epoch) const {
    Array<std::uint32_t> counts(probabilities_.size());
    const auto result = out(counts);
    py::gil_scoped_release unlocked;
    systematic_counts(rates_, {before, total}, k, seed, epoch, result);
    return counts;
  }

  // Of a part that is all rows.
  Array<std::uint32_t> multinomial(std::uint32_t k, std::uint64_t seed, std::uint32_t epoch) const {
    Array<std::uint32_t> counts(probabilities_.size());
    const auto result = out(counts);
    py::gil_scoped_release unlocked;
    multinomial_counts(rates_, k, seed, epoch, result);
    return counts;
  }

  Array<std::uint32_t> count(std::uint64_t before, const Array<std::uint64_t>& points) const {
    Array<std::uint32_t> counts(probabilities_.size());
    const auto result = out(counts);
    const auto from = in(points, "points");
    py::gil_scoped_release unlocked;
    count_points(rates_, before, from, result);
    return counts;
  }

  Array<float> inverse(std::uint64_t total, std::size_t num_rows) const {
    Array<float> weights(probabilities_.size());
    const auto result = out(weights);
    py::gil_scoped_release unlocked;
    inverse_probabilities(rates_, total, num_rows, result);
    return weights;
  }

 private:
  static Rates make(const Array<float>& probabilities, const Array<std::uint64_t>& sums,
                    float substitute, std::uint32_t k) {
    const RateScale scale = scale_of(sums, substitute, k);
    const auto p = in(probabilities, "probabilities");
    py::gil_scoped_release unlocked;
    return Rates(p, scale);
  }

  Array<float> probabilities_;
  Rates rates_;
};

py::array_t<std::uint64_t> sums_of(const Array<float>& probabilities, float substitute) {
  const auto p = in(probabilities, "probabilities");
  ExponentSums sums;
  {
    py::gil_scoped_release unlocked;
    sums = exponent_sums(p, substitute);
  }
  return copy_of(sums.data(), sums.size());
}

Array<std::uint64_t> points_of(std::uint64_t total, std::uint64_t seed, std::uint32_t epoch,
                               std::uint32_t first, std::uint32_t count) {
  Array<std::uint64_t> points(count);
  const auto result = out(points);
  py::gil_scoped_release unlocked;
  multinomial_points(total, seed, epoch, first, result);
  return points;
}

CdfPart cdf_part(const Array<float>& values, const OptionalMask& where, float low, float high) {
  const Rows column = rows(values, where, false, "values", "where");
  CdfPart part{{column.values, column.size}, {}, {low, high}};
  if (column.where) part.where = {column.where, column.size};
  return part;
}

py::array_t<std::uint64_t> bin_counts(const Array<float>& values, const OptionalMask& where,
                                      float low, float high) {
  const CdfPart part = cdf_part(values, where, low, high);
  CdfCounts counts;
  {
    py::gil_scoped_release unlocked;
    counts = cdf_counts(part);
  }
  return copy_of(counts.data(), counts.size());
}

CdfCounts cdf_counts_in(const Array<std::uint64_t>& counts) {
  CdfCounts all;
  if (in(counts, "counts").size() != all.size()) throw py::value_error("not counts by bin");
  std::ranges::copy(in(counts, "counts"), all.begin());
  return all;
}

py::array_t<std::uint64_t> thresholds_of(const Array<std::uint64_t>& counts, double beta) {
  const CdfCounts keep_below = cdf_thresholds(cdf_counts_in(counts), beta);
  return copy_of(keep_below.data(), keep_below.size());
}

Array<bool> kept_of(const Array<float>& values, const OptionalMask& where, float low, float high,
                    const Array<std::uint64_t>& counts, double beta, std::uint64_t seed,
                    std::uint32_t epoch, std::size_t first) {
  const CdfPart part = cdf_part(values, where, low, high);
  const CdfCounts all = cdf_counts_in(counts);
  Array<bool> kept(values.size());
  const auto flags = flags_of(kept);
  py::gil_scoped_release unlocked;
  cdf_keep(part, all, beta, seed, epoch, first, flags);
  return kept;
}

}  // namespace

void bind_shard(py::module_& module) {
  py::class_<Candidates>(module, "Candidates")
      .def(py::init<Array<float>, OptionalMask, bool>(), py::arg("values").noconvert(),
           py::arg("where").noconvert(), py::arg("finite_only"))
      .def(py::init<const Array<float>&, std::size_t, float, std::uint64_t, std::uint32_t>(),
           py::arg("probabilities").noconvert(), py::arg("first"), py::arg("substitute"),
           py::arg("seed"), py::arg("epoch"))
      .def("count", &Candidates::count)
      .def("histogram", &Candidates::histogram, py::arg("prefix") = py::none())
      .def("tally", &Candidates::tally, py::arg("key"))
      .def("mark", &Candidates::mark, py::arg("ties"));
  module.def("sum_parts", &sum_parts, py::arg("values").noconvert(), py::arg("where").noconvert(),
             py::arg("finite_only"));
  module.def("rounded_sum", &rounded_sum, py::arg("parts").noconvert());
  module.def("survey", &survey, py::arg("probabilities").noconvert());
  module.def("exponent_sums", &sums_of, py::arg("probabilities").noconvert(),
             py::arg("substitute"));
  module.def(
      "rate_scale",
      [](const Array<std::uint64_t>& sums, float substitute, std::uint32_t k) {
        return scale_of(sums, substitute, k).scale;
      },
      py::arg("sums").noconvert(), py::arg("substitute"), py::arg("k"));
  py::class_<RatesPart>(module, "RatesPart")
      .def(py::init<Array<float>, const Array<std::uint64_t>&, float, std::uint32_t>(),
           py::arg("probabilities").noconvert(), py::arg("sums").noconvert(), py::arg("substitute"),
           py::arg("k"))
      .def_property_readonly("total", &RatesPart::total)
      .def("systematic", &RatesPart::systematic, py::arg("before"), py::arg("total"), py::arg("k"),
           py::arg("seed"), py::arg("epoch"))
      .def("multinomial", &RatesPart::multinomial, py::arg("k"), py::arg("seed"), py::arg("epoch"))
      .def("count", &RatesPart::count, py::arg("before"), py::arg("points").noconvert())
      .def("inverse", &RatesPart::inverse, py::arg("total"), py::arg("num_rows"));
  module.def("multinomial_points", &points_of, py::arg("total"), py::arg("seed"), py::arg("epoch"),
             py::arg("first"), py::arg("count"));
  module.def("cdf_counts", &bin_counts, py::arg("values").noconvert(), py::arg("where").noconvert(),
             py::arg("low"), py::arg("high"));
  module.def("cdf_thresholds", &thresholds_of, py::arg("counts").noconvert(), py::arg("beta"));
  module.def("cdf_keep", &kept_of, py::arg("values").noconvert(), py::arg("where").noconvert(),
             py::arg("low"), py::arg("high"), py::arg("counts").noconvert(), py::arg("beta"),
             py::arg("seed"), py::arg("epoch"), py::arg("first"));
}

}  // namespace dynsample::bind
