#include "core/system.h"

#include <algorithm>
#include <cstdint>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace dynsample {
#if defined(__linux__)
namespace {

// Linux reads no more than this ahead at one request, its default for disks.
constexpr std::size_t kReadAhead = std::size_t{1} << 17;

std::uintptr_t page_of(const void* memory) {
  static const auto size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  return reinterpret_cast<std::uintptr_t>(memory) & ~(size - 1);
}

}  // namespace
#endif

std::size_t available_cores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<std::size_t>(CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

void prefer_large_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__)
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

void will_need([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__)
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(memory) + bytes;
  for (std::uintptr_t at = page_of(memory); at < end; at += kReadAhead) {
    madvise(reinterpret_cast<void*>(at), std::min<std::size_t>(kReadAhead, end - at),
            MADV_WILLNEED);
  }
#endif
}

bool in_memory([[maybe_unused]] const void* memory) {
#if defined(__linux__)
  unsigned char present = 1;
  if (mincore(reinterpret_cast<void*>(page_of(memory)), 1, &present) == 0) return present & 1;
#endif
  return true;
}

}  // namespace dynsample
