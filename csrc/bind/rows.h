// A score column with its optional mask, from Python.
#pragma once

#include <pybind11/stl.h>

#include <optional>
#include <span>

#include "bind/bind.h"
#include "core/rows.h"

namespace dynsample::bind {

using OptionalMask = std::optional<Array<bool>>;

inline const std::uint8_t* bytes(const Array<bool>& mask) {
  return reinterpret_cast<const std::uint8_t*>(mask.data());
}

// To be written to.
inline std::span<std::uint8_t> flags_of(Array<bool>& mask) {
  return {reinterpret_cast<std::uint8_t*>(mask.mutable_data()),
          static_cast<std::size_t>(mask.size())};
}

inline Rows rows(const Array<float>& values, const OptionalMask& where, bool finite_only,
                 const char* values_name, const char* where_name) {
  const auto column = in(values, values_name);
  check_num_rows(column.size());
  if (!where) return {column.data(), nullptr, finite_only, column.size()};
  if (in(*where, where_name).size() != column.size()) {
    throw py::value_error(std::string(where_name) + " must have " + std::to_string(column.size()) +
                          " rows, as many as " + values_name + ", got " +
                          std::to_string(where->size()));
  }
  return {column.data(), bytes(*where), finite_only, column.size()};
}

}  // namespace dynsample::bind
