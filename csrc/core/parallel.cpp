#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "core/system.h"

namespace dynsample {
namespace {

constexpr std::size_t kMaxThreads = 256;
constexpr std::size_t kMaxDefault = 4;  // the work is bound by memory: more gain little

// The number in an environment variable, 0 when it is unset or empty.
std::size_t threads_from(const char* name) {
  const char* text = std::getenv(name);
  if (!text || !*text) return 0;
  char* end = nullptr;
  const unsigned long value = std::strtoul(text, &end, 10);
  if (*end || value < 1 || value > kMaxThreads) {
    throw std::runtime_error(std::string(name) + " must be a number in [1, " +
                             std::to_string(kMaxThreads) + "], got '" + text + "'");
  }
  return value;
}

// OMP_NUM_THREADS may also hold what only OpenMP understands ("4,2"): its first number counts.
std::size_t default_threads() {
  if (const std::size_t threads = threads_from("DYNSAMPLE_THREADS")) return threads;
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const unsigned long value = std::strtoul(text, nullptr, 10);
    if (value >= 1) return std::min<std::size_t>(value, kMaxThreads);
  }
  return std::min(available_cores(), kMaxDefault);
}

std::atomic<std::size_t>& thread_count() {
  static std::atomic<std::size_t> count{default_threads()};
  return count;
}

// Shared by the caller and its helpers. A helper that starts late finds nothing left to claim and
// never touches `body`, which lives only as long as the call.
struct Job {
  const std::function<void(std::size_t)>* body;
  std::size_t chunks;
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::condition_variable all_done;
  std::size_t done = 0;
  std::exception_ptr error;

  void work() {
    for (std::size_t chunk; (chunk = next.fetch_add(1)) < chunks;) {
      std::exception_ptr failure;
      try {
        (*body)(chunk);
      } catch (...) {
        failure = std::current_exception();
      }
      const std::lock_guard<std::mutex> lock(mutex);
      if (failure && !error) error = failure;
      if (++done == chunks) all_done.notify_all();
    }
  }
};

}  // namespace

std::size_t num_threads() { return thread_count().load(); }

void set_num_threads(std::size_t threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw std::invalid_argument("threads must be in [1, " + std::to_string(kMaxThreads) +
                                "], got " + std::to_string(threads));
  }
  thread_count().store(threads);
}

void parallel_for(std::size_t chunks, const std::function<void(std::size_t)>& body) {
  const std::size_t threads = std::min(num_threads(), chunks);
  if (threads <= 1) {
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) body(chunk);
    return;
  }
  const auto job = std::make_shared<Job>();
  job->body = &body;
  job->chunks = chunks;
  try {
    for (std::size_t helper = 1; helper < threads; ++helper) {
      std::thread([job] { job->work(); }).detach();
    }
  } catch (const std::exception&) {
    // The system refuses another thread, or memory for it: the helpers that there are go on.
  }
  job->work();
  std::unique_lock<std::mutex> lock(job->mutex);
  job->all_done.wait(lock, [&] { return job->done == job->chunks; });
  if (job->error) std::rethrow_exception(job->error);
}

}  // namespace dynsample
