#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <vector>

#include "bind/columns.h"
#include "bind/cuda.h"
#include "cuda/fold.h"
#include "cuda/log.h"

namespace dynsample::bind {
namespace {

using cuda::Sorted;
using cuda::Stream;

// Lends the parts of a column at their addresses.
class AddressLender : public Lender {
 public:
  using Lender::Lender;

  template <class T>
  void part(const char* name, T*& array, std::size_t = 1) const {
    array = at<T>(find(name).template cast<Address>());
  }
};

Sorted sorted(Address rows, Address places, std::size_t size) {
  return {at<const std::uint32_t>(rows), at<const std::uint32_t>(places), size};
}

void sort_rows(Stream stream, const py::function& allocate, Address rows, Address keys,
               std::size_t size, int row_bits, Address sorted_rows, Address places) {
  LentScratch scratch(allocate);
  const py::gil_scoped_release unlocked;
  cuda::sort_rows(at<const std::uint32_t>(rows), at<const std::uint32_t>(keys), size, row_bits,
                  at<std::uint32_t>(sorted_rows), at<std::uint32_t>(places), scratch, stream);
}

void match(Stream stream, Address rows, Address places, std::size_t size, Address issued_rows,
           Address issued_places, std::size_t num_issued, Address issued_tickets, Address accepted,
           Address tickets, Address unknown) {
  const py::gil_scoped_release unlocked;
  cuda::match(sorted(rows, places, size), sorted(issued_rows, issued_places, num_issued),
              at<const std::uint32_t>(issued_tickets), at<std::uint8_t>(accepted),
              at<std::uint32_t>(tickets), at<std::uint32_t>(unknown), stream);
}

// A column as dynsample.device.fold describes it: kind, parameter, addresses of its parts, and that
// of the values of its signal.
using Spec = std::tuple<std::string, double, py::dict, Address>;

// Applies observations to all columns, marks their rows as seen, and drops what is closed of the
// log that they are of.
void fold(Stream stream, cuda::LogParts& log, const std::vector<Spec>& specs, Address rows,
          Address places, std::size_t size, Address accepted, std::uint32_t first_row,
          Address seen) {
  std::vector<ColumnRule> rules;
  for (const auto& [kind, parameter, parts, values] : specs) {
    rules.push_back(make_rule(kind, AddressLender(parameter, parts)));
  }
  const Sorted observations = sorted(rows, places, size);
  const auto* const which = at<const std::uint8_t>(accepted);
  const py::gil_scoped_release unlocked;
  for (std::size_t c = 0; c < rules.size(); ++c) {
    const auto* const values = at<const float>(std::get<3>(specs[c]));
    cuda::apply(rules[c], values, observations, which, first_row, stream);
  }
  cuda::mark_seen(observations, which, first_row, at<std::uint8_t>(seen), stream);
  log.drop(true);
}

}  // namespace

void bind_cuda_fold(py::module_& module) {
  module.def("sort_rows", &sort_rows);
  module.def("match", &match);
  module.def("fold", &fold);
}

}  // namespace dynsample::bind
