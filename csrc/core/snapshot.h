// Memory of the caller, which another thread may be writing: what is checked is what is then used.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "core/buffer.h"

namespace dynsample {

// Nothing that was read before is read again afterwards: the compiler takes what is in memory.
inline void read_no_more() { asm volatile("" ::: "memory"); }

// One read, whose value stays the same however often it is used.
template <class T>
T read_once(const T& place) {
  return *static_cast<const volatile T*>(&place);
}

// Copies to memory of our own, for checks that then hold.
template <class T>
void snapshot(const T* from, std::size_t count, T* to) {
  if (count) std::memcpy(to, from, count * sizeof(T));
  read_no_more();
}

template <class T>
Buffer<T> snapshot(const T* from, std::size_t count) {
  Buffer<T> copy(count);
  snapshot(from, count, copy.data());
  return copy;
}

}  // namespace dynsample
