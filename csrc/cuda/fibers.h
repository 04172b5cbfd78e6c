// Threads of a grid as ThreadSanitizer sees threads, on one of the system's: each has a stack and
// an identity of its own (a "fiber"), and who goes on is drawn at every barrier, atomic function
// and fence. ThreadSanitizer goes by what is ordered before what, not by time, so that a race shows
// whatever was drawn. What orders here is what orders on a GPU, and nothing else:
//
//   a barrier        all threads of its block
//   fence, atomic    what was written before, for whoever has a fence after an atomic function
//   there
//
// Atomic functions alone are relaxed. All blocks of a grid are there at a time; ThreadSanitizer has
// room for 8128 threads.
#pragma once

#include <sanitizer/tsan_interface.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// Of the scheduler itself, whose memory is no kernel's.
#define DYNSAMPLE_UNSEEN __attribute__((no_sanitize_thread, noinline))

namespace dynsample::cuda::fibers {

constexpr std::size_t kStack = 1 << 16, kMostThreads = 8000;

struct Fiber {
  ucontext_t context;
  void* identity;  // of ThreadSanitizer
};

struct Group {  // the threads of a block
  unsigned alive;
  const void* site = nullptr;  // of the barrier that the first of them waits at
  char barrier[2];             // of even and odd numbers: nobody joins one that others still leave
  std::vector<struct Thread*> waiting;
};

enum class Left { kAtBarrier, kBetween, kDone };

using Run = void (*)(const void* grid, unsigned block, unsigned thread);

struct Thread : Fiber {
  Run run;
  const void* grid;
  unsigned block, thread;
  Group* group;
  unsigned barriers;
  bool fenced;        // since its last atomic function
  void* last_atomic;  // what that was on
  Left left;
  const void* site;
};

struct Machine {
  std::mutex mutex;  // one launch at a time
  Fiber host;
  Thread* now = nullptr;
  std::vector<std::unique_ptr<Thread>> all;
  std::uint64_t random = 1;
  char begin, end;  // of a launch
};

inline Machine machine;

DYNSAMPLE_UNSEEN inline std::uint32_t draw(std::uint32_t below) {
  std::uint64_t& x = machine.random;
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return static_cast<std::uint32_t>((x >> 32) * below >> 32);
}

DYNSAMPLE_UNSEEN inline void go(Fiber& from, Fiber& to) {
  __tsan_switch_to_fiber(to.identity, __tsan_switch_to_fiber_no_sync);
  swapcontext(&from.context, &to.context);
}

DYNSAMPLE_UNSEEN inline void leave(Left how) {
  Thread& thread = *machine.now;
  thread.left = how;
  go(thread, machine.host);
}

// `site` is the same for threads that call it from one place.
DYNSAMPLE_UNSEEN inline void barrier(const void* site) {
  Thread& thread = *machine.now;
  char* const at = &thread.group->barrier[thread.barriers++ & 1];
  thread.site = site;
  __tsan_release(at);
  leave(Left::kAtBarrier);
  __tsan_acquire(at);
}

DYNSAMPLE_UNSEEN inline void may_switch() {
  if (draw(4) == 0) leave(Left::kBetween);
}

// Before every atomic function: it publishes what its thread wrote if a fence went before it.
DYNSAMPLE_UNSEEN inline void publish(void* at) {
  may_switch();
  Thread& thread = *machine.now;
  if (thread.fenced) __tsan_release(at);
  thread.fenced = false;
  thread.last_atomic = at;
}

// What others published where the thread's last atomic function was is visible from here on.
DYNSAMPLE_UNSEEN inline void fence() {
  may_switch();
  Thread& thread = *machine.now;
  if (thread.last_atomic) __tsan_acquire(thread.last_atomic);
  thread.fenced = true;
}

DYNSAMPLE_UNSEEN inline void live() {
  for (;;) {
    Thread& thread = *machine.now;
    __tsan_acquire(&machine.begin);
    thread.run(thread.grid, thread.block, thread.thread);
    __tsan_release(&machine.end);
    leave(Left::kDone);
  }
}

DYNSAMPLE_UNSEEN inline std::unique_ptr<Thread> make_thread() {
  auto thread = std::make_unique<Thread>();
  void* const stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED || getcontext(&thread->context)) throw std::bad_alloc();
  thread->context.uc_stack.ss_sp = stack;
  thread->context.uc_stack.ss_size = kStack;
  thread->context.uc_link = nullptr;
  makecontext(&thread->context, live, 0);
  thread->identity = __tsan_create_fiber(0);
  return thread;
}

// A launch that is none on a GPU leaves threads that cannot go on: the end, in the words of a
// report.
[[noreturn]] inline void fail(const char* name, const char* what) {
  std::fprintf(stderr, "WARNING: fibers: %s: %s\n", name, what);
  std::abort();
}

DYNSAMPLE_UNSEEN inline std::vector<Thread*> threads_of(Run run, const void* grid,
                                                        std::vector<Group>& groups, unsigned size) {
  std::vector<Thread*> threads;
  for (unsigned block = 0; block < groups.size(); ++block) {
    for (unsigned number = 0; number < size; ++number) {
      if (threads.size() == machine.all.size()) machine.all.push_back(make_thread());
      Thread& thread = *machine.all[threads.size()];
      thread.run = run, thread.grid = grid;
      thread.block = block, thread.thread = number, thread.group = &groups[block];
      thread.barriers = 0, thread.fenced = false, thread.last_atomic = nullptr;
      threads.push_back(&thread);
    }
  }
  return threads;
}

// Has a thread wait; gives those that go on, which are all of its block when it is the last.
DYNSAMPLE_UNSEEN inline std::vector<Thread*> wait(const char* name, Thread& thread, unsigned size) {
  Group& group = *thread.group;
  if (group.waiting.empty()) group.site = thread.site;
  if (group.site != thread.site) fail(name, "threads of a block wait at different barriers");
  if (group.alive < size) fail(name, "a thread waits at a barrier that another never reaches");
  group.waiting.push_back(&thread);
  return group.waiting.size() == size ? std::exchange(group.waiting, {}) : std::vector<Thread*>();
}

// Runs run(grid, block, thread) for all threads of all blocks.
DYNSAMPLE_UNSEEN inline void run_grid(const char* name, Run run, const void* grid, unsigned blocks,
                                      unsigned size) {
  if (blocks > kMostThreads / size) {
    throw std::runtime_error(std::string(name) + ": ThreadSanitizer has no room for " +
                             std::to_string(blocks) + " blocks of " + std::to_string(size));
  }
  std::vector<Group> groups(blocks, Group{size, nullptr, {}, {}});
  std::vector<Thread*> ready = threads_of(run, grid, groups, size);
  machine.host.identity = __tsan_get_current_fiber();
  __tsan_release(&machine.begin);
  while (!ready.empty()) {
    const std::uint32_t drawn = draw(static_cast<std::uint32_t>(ready.size()));
    Thread& thread = *ready[drawn];
    machine.now = &thread;
    go(machine.host, thread);
    if (thread.left == Left::kBetween) continue;
    ready[drawn] = ready.back();
    ready.pop_back();
    if (thread.left == Left::kAtBarrier) {
      const std::vector<Thread*> on = wait(name, thread, size);
      ready.insert(ready.end(), on.begin(), on.end());
    } else if (--thread.group->alive, !thread.group->waiting.empty()) {
      fail(name, "a thread ends before a barrier that another waits at");
    }
  }
  __tsan_acquire(&machine.end);
}

}  // namespace dynsample::cuda::fibers
