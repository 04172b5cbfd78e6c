// The log of a sampler as Python has it, for the bindings that read it.
#pragma once

#include <utility>
#include <vector>

#include "bind/bind.h"
#include "core/log.h"

namespace dynsample::bind {

ObservationLog& log_of(py::handle object);

// Calls body(closed part) while nobody else changes it. Without Python's lock, which a thread that
// folds takes back only when it is done.
template <class Body>
auto read_closed(ObservationLog& log, const Body& body) {
  const py::gil_scoped_release unlocked;
  const ObservationLog::Reading reading = log.reading();
  return body(log.closed());
}

// An array that owns the memory of a buffer.
template <class T>
Array<T> owned(Buffer<T>&& buffer) {
  auto kept = std::make_unique<Buffer<T>>(std::move(buffer));
  const T* const data = kept->data();
  const auto size = static_cast<py::ssize_t>(kept->size());
  const py::capsule owner(kept.get(), [](void* p) { delete static_cast<Buffer<T>*>(p); });
  kept.release();
  return Array<T>(size, data, owner);
}

}  // namespace dynsample::bind
