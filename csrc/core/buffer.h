// Memory for large arrays: not initialised, and on large pages where the system offers them.
//
// Tables are read at random places, and a table of a few million rows on small pages costs a walk
// of the page tables for nearly every read; a fresh one costs a fault for every 4 KiB.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include "core/system.h"

namespace dynsample {

template <class T>
struct LargeAllocator {
  using value_type = T;
  static constexpr std::size_t kPage = std::size_t{1} << 21, kLarge = kPage / 2;
  static constexpr std::align_val_t kLine{alignof(T) > 64 ? alignof(T) : 64};

  LargeAllocator() = default;
  template <class U>
  LargeAllocator(const LargeAllocator<U>&) {}

  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    if (bytes < kLarge) return static_cast<T*>(::operator new(bytes, kLine));
    const std::size_t whole = (bytes + kPage - 1) / kPage * kPage;
    void* memory = std::aligned_alloc(kPage, whole);
    if (!memory) throw std::bad_alloc();
    prefer_large_pages(memory, whole);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) {
    if (count * sizeof(T) < kLarge) return ::operator delete(memory, kLine);
    std::free(memory);
  }
  template <class U>
  void construct(U* place) {
    ::new (static_cast<void*>(place)) U;  // without a value: left as it is
  }
  template <class U, class... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
  }
  friend bool operator==(const LargeAllocator&, const LargeAllocator&) { return true; }
};

// New elements have no value until they are given one.
template <class T>
using Buffer = std::vector<T, LargeAllocator<T>>;

}  // namespace dynsample
