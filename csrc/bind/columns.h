// The rule of a column, made of what dynsample.table.column.native says of it.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "core/columns.h"

namespace dynsample::bind {

namespace py = pybind11;

// What a rule borrows from: a parameter and parts by name. A derived class knows what the parts
// are: its `part(name, array, per_row)` points `array` at one.
class Lender {
 public:
  Lender(double parameter, const py::dict& parts) : parameter_(parameter), parts_(parts) {}

  void number(float& to) const { to = static_cast<float>(parameter_); }

  void size(std::uint32_t& to, std::uint32_t least) const {
    if (!(parameter_ >= least && parameter_ <= UINT32_MAX)) {
      throw py::value_error("size must be in [" + std::to_string(least) + ", 2**32), got " +
                            std::to_string(parameter_));
    }
    to = static_cast<std::uint32_t>(parameter_);
  }

 protected:
  py::handle find(const char* name) const {
    const py::handle found = PyDict_GetItemString(parts_.ptr(), name);
    if (!found) {
      throw py::value_error("parts lack '" + std::string(name) + "', they are " +
                            std::string(py::str(py::list(parts_))));
    }
    return found;
  }

 private:
  double parameter_;
  const py::dict& parts_;
};

// The rule of this kind, found among all that there are.
template <class From, std::size_t kAt = 0>
ColumnRule make_rule(const std::string& kind, const From& from) {
  if constexpr (kAt == std::variant_size_v<ColumnRule>) {
    throw py::value_error("no column of kind '" + kind + "'");
  } else {
    std::variant_alternative_t<kAt, ColumnRule> rule{};
    if (kind != rule.kKind) return make_rule<From, kAt + 1>(kind, from);
    rule.borrow(from);
    return rule;
  }
}

}  // namespace dynsample::bind
