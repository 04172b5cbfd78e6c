// Arrays and tensors as memory, on the path of every training step: a few attribute reads, no
// conversion, no protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "bind/bind.h"

namespace dynsample::bind {

enum class Kind { kIndex, kSignal };

struct View {
  const void* data = nullptr;
  std::size_t size = 0;
  bool wide = true;  // of an index: int64, else int32
};

// Whether `object` is a contiguous numpy array or torch CPU tensor of one dimension whose type is
// int64 or int32 (kIndex) or float32 (kSignal), and then where it is. Never throws: what is not
// usable as it is goes to the slow path, which knows what to say.
bool view(py::handle object, Kind kind, View& out);

// Calls body(ids) with the span of an index.
template <class Body>
void with_ids(const View& index, const Body& body) {
  if (index.wide) {
    body(std::span(static_cast<const std::int64_t*>(index.data), index.size));
  } else {
    body(std::span(static_cast<const std::int32_t*>(index.data), index.size));
  }
}

// Makes tensors known; before that, view() refuses them.
void register_torch(const py::module_& torch);

}  // namespace dynsample::bind
