// Work split over helper threads that claim it; nobody waits for a helper that has not started, and
// fewer are enough when the system refuses one.
#pragma once

#include <cstddef>
#include <functional>

namespace dynsample {

// Threads that a call of a millisecond or more may use, the caller's included: DYNSAMPLE_THREADS,
// else OMP_NUM_THREADS, else the cores of this process up to 4. Results never depend on it.
std::size_t num_threads();
void set_num_threads(std::size_t threads);

// Calls body(chunk) once for each chunk in [0, chunks), in any order and on any thread, and returns
// when all are done. The first exception of a body is rethrown after the others have ended.
void parallel_for(std::size_t chunks, const std::function<void(std::size_t)>& body);

}  // namespace dynsample
