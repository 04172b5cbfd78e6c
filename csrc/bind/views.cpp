#include "bind/views.h"

#include <cstdint>

namespace dynsample::bind {
namespace {

// The objects of torch that a tensor is compared with; kept for the life of the process.
struct Torch {
  PyObject *tensor, *float32, *int64, *int32;
  PyObject *dtype, *is_cpu, *shape, *is_contiguous, *data_ptr;  // attribute names
};
const Torch* torch_objects = nullptr;

bool view_array(PyObject* object, Kind kind, View& out) {
  using py::detail::npy_api;
  const auto* array = py::detail::array_proxy(object);
  constexpr int kFlags = npy_api::NPY_ARRAY_C_CONTIGUOUS_ | npy_api::NPY_ARRAY_ALIGNED_;
  if (array->nd != 1 || (array->flags & kFlags) != kFlags) return false;
  const auto dtype = py::reinterpret_borrow<py::dtype>(array->descr);
  if (dtype.byteorder() != '=') return false;
  const int type = dtype.num();
  if (kind == Kind::kSignal) {
    if (type != npy_api::NPY_FLOAT_) return false;
  } else {
    out.wide = type == npy_api::NPY_INT64_;
    if (!out.wide && type != npy_api::NPY_INT32_) return false;
  }
  out.data = array->data;
  out.size = static_cast<std::size_t>(array->dimensions[0]);
  return true;
}

bool is_true(PyObject* owned) {
  const bool result = owned == Py_True;
  Py_XDECREF(owned);
  return result;
}

// One element goes the slow way: its strides say nothing, so that a lazy negation may hide there.
bool view_tensor(PyObject* object, Kind kind, View& out) {
  const Torch& torch = *torch_objects;
  const auto dtype = py::reinterpret_steal<py::object>(PyObject_GetAttr(object, torch.dtype));
  if (kind == Kind::kSignal) {
    if (dtype.ptr() != torch.float32) return false;
  } else {
    out.wide = dtype.ptr() == torch.int64;
    if (!out.wide && dtype.ptr() != torch.int32) return false;
  }
  if (!is_true(PyObject_GetAttr(object, torch.is_cpu))) return false;
  const auto shape = py::reinterpret_steal<py::object>(PyObject_GetAttr(object, torch.shape));
  if (!shape || !PyTuple_Check(shape.ptr()) || PyTuple_GET_SIZE(shape.ptr()) != 1) return false;
  const Py_ssize_t size = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape.ptr(), 0));
  if (size < 2) return false;
  if (!is_true(PyObject_CallMethodNoArgs(object, torch.is_contiguous))) return false;
  const auto address =
      py::reinterpret_steal<py::object>(PyObject_CallMethodNoArgs(object, torch.data_ptr));
  if (!address) return false;
  const auto value = static_cast<std::uintptr_t>(PyLong_AsUnsignedLongLong(address.ptr()));
  if (value == 0 || value % (kind == Kind::kIndex && out.wide ? 8 : 4)) return false;
  out.data = reinterpret_cast<const void*>(value);
  out.size = static_cast<std::size_t>(size);
  return true;
}

}  // namespace

bool view(py::handle object, Kind kind, View& out) {
  const PyTypeObject* type = Py_TYPE(object.ptr());
  bool usable = false;
  PyTypeObject* const array = py::detail::npy_api::get().PyArray_Type_;
  if (type == array || PyType_IsSubtype(Py_TYPE(object.ptr()), array)) {
    usable = view_array(object.ptr(), kind, out);
  } else if (torch_objects && reinterpret_cast<const PyObject*>(type) == torch_objects->tensor) {
    usable = view_tensor(object.ptr(), kind, out);
  }
  if (PyErr_Occurred()) {
    PyErr_Clear();
    return false;
  }
  return usable;
}

void register_torch(const py::module_& torch) {
  if (torch_objects) return;
  const auto object = [&](const char* name) {
    return torch.attr(name).cast<py::object>().release().ptr();
  };
  torch_objects = new Torch{object("Tensor"),
                            object("float32"),
                            object("int64"),
                            object("int32"),
                            PyUnicode_InternFromString("dtype"),
                            PyUnicode_InternFromString("is_cpu"),
                            PyUnicode_InternFromString("shape"),
                            PyUnicode_InternFromString("is_contiguous"),
                            PyUnicode_InternFromString("data_ptr")};
}

}  // namespace dynsample::bind
