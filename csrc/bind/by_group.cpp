// Parts of reductions within groups of rows; dynsample.table.by_group puts those of all ranks
// together.
#include "core/by_group.h"

#include <cstring>
#include <utility>

#include "bind/bind.h"
#include "bind/rows.h"
#include "core/race.h"

namespace dynsample::bind {
namespace {

Labels labels_in(const Array<std::int32_t>& labels, std::size_t rows, std::size_t groups) {
  const Labels found = in(labels, "labels");
  check_labels(found, rows, groups);
  return found;
}

// Rows that a selection within groups is among, with the labels kept alive.
class GroupCandidates {
 public:
  GroupCandidates(const Array<float>& values, const OptionalMask& where, Array<std::int32_t> labels,
                  std::size_t groups)
      : labels_(std::move(labels)), groups_(groups) {
    const Rows all = rows(values, where, true, "values", "where");
    of_ = labels_in(labels_, all.size, groups);
    py::gil_scoped_release unlocked;
    keys_ = key_buffer(all.size);
    write_keys(all, {keys_.data(), all.size});
  }

  GroupCandidates(const Array<float>& probabilities, std::size_t first, float substitute,
                  std::uint64_t seed, std::uint32_t epoch, Array<std::int32_t> labels,
                  std::size_t groups)
      : labels_(std::move(labels)), groups_(groups) {
    const auto p = in(probabilities, "probabilities");
    check_num_rows(p.size());
    of_ = labels_in(labels_, p.size(), groups);
    py::gil_scoped_release unlocked;
    keys_ = race_keys(p, first, substitute, seed, epoch);
  }

  Array<std::uint32_t> digits(unsigned round, const Array<std::uint32_t>& prefixes) const {
    if (round >= 32 / kGroupDigitBits) throw py::value_error("round must be in [0, 4)");
    const auto before = of_groups(prefixes, "prefixes");
    Array<std::uint32_t> counts({groups_, kGroupDigits});
    const auto result = out(counts);
    py::gil_scoped_release unlocked;
    count_digits(keys(), of_, round, before, result);
    return counts;
  }

  Array<bool> mark(const Array<std::uint32_t>& below, const Array<std::uint32_t>& equal,
                   const Array<std::uint32_t>& ties) const {
    const GroupBounds bounds = {of_groups(below, "below"), of_groups(equal, "equal"),
                                of_groups(ties, "ties")};
    Array<bool> mask(static_cast<py::ssize_t>(of_.size()));
    const auto flags = flags_of(mask);
    py::gil_scoped_release unlocked;
    mark_by_group(keys(), of_, bounds, flags);
    return mask;
  }

 private:
  std::span<const std::uint32_t> keys() const { return {keys_.data(), of_.size()}; }

  std::span<const std::uint32_t> of_groups(const Array<std::uint32_t>& array,
                                           const char* name) const {
    const auto found = in(array, name);
    if (found.size() != groups_) {
      throw py::value_error(std::string(name) + " must have " + std::to_string(groups_) +
                            " entries, one for each group, got " + std::to_string(found.size()));
    }
    return found;
  }

  Array<std::int32_t> labels_;
  std::size_t groups_;
  Labels of_;
  KeyBuffer keys_;
};

py::tuple kth_digits(const Array<std::uint32_t>& counts, const Array<std::int64_t>& ks) {
  const auto wanted = in(ks, "ks");
  if (counts.ndim() != 2 || static_cast<std::size_t>(counts.shape(0)) != wanted.size() ||
      static_cast<std::size_t>(counts.shape(1)) != kGroupDigits) {
    throw py::value_error("counts must be of every digit for each of ks");
  }
  const auto groups = static_cast<py::ssize_t>(wanted.size());
  Array<std::uint32_t> digits(groups);
  Array<std::int64_t> below(groups), totals(groups);
  for (py::ssize_t g = 0; g < groups; ++g) {
    const std::span<const std::uint32_t, kGroupDigits> of(counts.data(g, 0), kGroupDigits);
    const KthDigit found = kth_digit(of, wanted[static_cast<std::size_t>(g)]);
    digits.mutable_at(g) = found.digit;
    below.mutable_at(g) = found.below;
    totals.mutable_at(g) = found.total;
  }
  return py::make_tuple(digits, below, totals);
}

Array<std::int64_t> counts_by_group(const OptionalMask& mask, const Array<std::int32_t>& labels,
                                    std::size_t groups) {
  std::span<const std::uint8_t> flags;
  if (mask) flags = {bytes(*mask), in(*mask, "mask").size()};
  const Labels of = labels_in(labels, mask ? flags.size() : in(labels, "labels").size(), groups);
  Array<std::int64_t> counts(static_cast<py::ssize_t>(groups));
  const auto result = out(counts);
  py::gil_scoped_release unlocked;
  std::ranges::copy(count_by_group(flags, of, groups), result.begin());
  return counts;
}

Array<std::int64_t> parts_by_group(const Array<float>& values, const OptionalMask& where,
                                   const Array<std::int32_t>& labels, std::size_t groups) {
  const Rows column = rows(values, where, true, "values", "where");
  const Labels of = labels_in(labels, column.size, groups);
  Array<std::int64_t> parts({groups, kSumIntegers});
  std::int64_t* const result = parts.mutable_data();
  py::gil_scoped_release unlocked;
  const std::vector<WindowSums> sums = sums_by_group(column, of, groups);
  if (groups) std::memcpy(result, sums.data(), groups * sizeof(WindowSums));
  return parts;
}

py::tuple rounded_by_group(const Array<std::int64_t>& parts) {
  if (parts.ndim() != 2 || static_cast<std::size_t>(parts.shape(1)) != kSumIntegers) {
    throw py::value_error("not the parts of sums");
  }
  const py::ssize_t groups = parts.shape(0);
  Array<double> totals(groups);
  Array<std::int64_t> counts(groups);
  for (py::ssize_t g = 0; g < groups; ++g) {
    WindowSums sums;
    std::memcpy(&sums, parts.data(g, 0), sizeof sums);
    totals.mutable_at(g) = rounded(sums);
    counts.mutable_at(g) = count(sums);
  }
  return py::make_tuple(totals, counts);
}

Array<std::uint32_t> order_keys(const Array<float>& values, const OptionalMask& where) {
  const Rows column = rows(values, where, true, "values", "where");
  Array<std::uint32_t> keys(values.size());
  const auto result = out(keys);
  py::gil_scoped_release unlocked;
  write_keys(column, result);
  return keys;
}

}  // namespace

void bind_by_group(py::module_& module) {
  module.attr("GROUP_DIGIT_BITS") = kGroupDigitBits;
  module.attr("SUM_WINDOWS") = kWindows;
  module.attr("SUM_WINDOW_OFFSET") = kWindowOffset;
  module.attr("SUM_INTEGERS") = kSumIntegers;
  py::class_<GroupCandidates>(module, "GroupCandidates")
      .def(py::init<const Array<float>&, const OptionalMask&, Array<std::int32_t>, std::size_t>(),
           py::arg("values").noconvert(), py::arg("where").noconvert(),
           py::arg("labels").noconvert(), py::arg("groups"))
      .def(py::init<const Array<float>&, std::size_t, float, std::uint64_t, std::uint32_t,
                    Array<std::int32_t>, std::size_t>(),
           py::arg("probabilities").noconvert(), py::arg("first"), py::arg("substitute"),
           py::arg("seed"), py::arg("epoch"), py::arg("labels").noconvert(), py::arg("groups"))
      .def("digits", &GroupCandidates::digits, py::arg("round"), py::arg("prefixes").noconvert())
      .def("mark", &GroupCandidates::mark, py::arg("below").noconvert(),
           py::arg("equal").noconvert(), py::arg("ties").noconvert());
  module.def("kth_digits", &kth_digits, py::arg("counts").noconvert(), py::arg("ks").noconvert());
  module.def("counts_by_group", &counts_by_group, py::arg("mask").noconvert(),
             py::arg("labels").noconvert(), py::arg("groups"));
  module.def("sum_parts_by_group", &parts_by_group, py::arg("values").noconvert(),
             py::arg("where").noconvert(), py::arg("labels").noconvert(), py::arg("groups"));
  module.def("order_keys", &order_keys, py::arg("values").noconvert(),
             py::arg("where").noconvert());
  module.def("rounded_sums", &rounded_by_group, py::arg("parts").noconvert());
}

}  // namespace dynsample::bind
