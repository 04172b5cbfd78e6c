// Work is done whatever number of threads the system refuses. Compiled with -fsanitize=address by
// test_sanitized_threads.py.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/parallel.h"

namespace {

std::atomic<int> allowed{0};  // threads that are not refused any more

}  // namespace

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*start)(void*), void* argument) {
  if (allowed.fetch_sub(1) <= 0) return EAGAIN;
  using Create = decltype(&pthread_create);
  static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  return create(thread, attributes, start, argument);
}

int main() {
  dynsample::set_num_threads(8);
  for (int trial = 0; trial < 200; ++trial) {
    allowed = trial % 8;
    std::vector<int> times(1000);
    dynsample::parallel_for(times.size(), [&](std::size_t chunk) { ++times[chunk]; });
    for (const int each : times) {
      if (each != 1) return EXIT_FAILURE;
    }
  }
  std::puts("every chunk was done once");
  return EXIT_SUCCESS;
}
