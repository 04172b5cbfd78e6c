// Helpers of the bindings: checked arrays to spans, and one registration function per concept.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace dynsample::bind {

namespace py = pybind11;

// A C-contiguous array of exactly T; pass it with py::arg().noconvert().
template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
std::span<const T> in(const Array<T>& array, const char* name) {
  if (array.ndim() != 1) {
    throw py::value_error(std::string(name) + " must have one dimension, got " +
                          std::to_string(array.ndim()));
  }
  return {array.data(), static_cast<std::size_t>(array.size())};
}

template <class T>
std::span<T> out(Array<T>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

// The bytes of a buffer, which `view` keeps.
inline std::span<const char> bytes_in(const py::buffer_info& view, const char* name) {
  if (view.itemsize != 1 || view.ndim != 1 || (view.size && view.strides[0] != 1)) {
    throw py::type_error(std::string(name) + " must be bytes, one after the other");
  }
  return {static_cast<const char*>(view.ptr), static_cast<std::size_t>(view.size)};
}

void bind_by_group(py::module_& module);
void bind_digest(py::module_& module);
void bind_file_list(py::module_& module);
void bind_fold(py::module_& module);
void bind_history(py::module_& module);
void bind_jpeg(py::module_& module);
void bind_log(py::module_& module);
void bind_mask(py::module_& module);
void bind_draw(py::module_& module);
void bind_gather(py::module_& module);
void bind_order(py::module_& module);
void bind_random(py::module_& module);
void bind_select(py::module_& module);
void bind_shard(py::module_& module);
void bind_sum(py::module_& module);
void bind_tree(py::module_& module);

}  // namespace dynsample::bind
