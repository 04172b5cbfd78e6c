#include <stdexcept>

#include "cuda/launch.h"
#include "cuda/log.h"

namespace dynsample::cuda {
namespace {

constexpr unsigned kNone = 0xFFFFFFFFu;

// One block, as the counts of a batch need a barrier; a batch is small.
struct Append {
  static constexpr int kThreads = 1024;
  struct Refused {
    unsigned count, first;  // place in the batch
  };
  struct Shared {
    Refused out_of_range, not_allowed;
  };
  LogHeader* header;
  Observation batch;

  DYNSAMPLE_DEVICE static std::size_t room(const LogHeader& log) {
    return log.observed < log.capacity ? static_cast<std::size_t>(log.capacity - log.observed) : 0;
  }

  DYNSAMPLE_DEVICE static void refuse(Refused& refused, std::size_t place) {
    atomic_add(&refused.count, 1u);
    atomic_min(&refused.first, static_cast<unsigned>(place));
  }

  DYNSAMPLE_DEVICE static std::uint32_t row(const LogHeader& log, Shared& shared, std::int64_t id,
                                            std::size_t place) {
    if (id < 0 || id >= log.num_ids) {
      refuse(shared.out_of_range, place);
      return kRefused;
    }
    const std::uint32_t row =
        log.row_of ? static_cast<std::uint32_t>(log.row_of[id]) : static_cast<std::uint32_t>(id);
    if (row == kRefused || (log.allowed && !log.allowed[row])) {
      refuse(shared.not_allowed, place);
      return kRefused;
    }
    return row;
  }

  DYNSAMPLE_DEVICE void count_refused(const Refused& refused, std::int64_t& count,
                                      std::int64_t& first) const {
    if (!refused.count) return;
    if (!count) first = batch.index.integer(refused.first);
    count += refused.count;
  }

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    block.each([&](unsigned thread) {
      if (!thread) block.shared = {{0, kNone}, {0, kNone}};
    });
    block.each([&](unsigned thread) {
      const LogHeader log = *header;
      const std::size_t fits = batch.count < room(log) ? batch.count : room(log);
      for (std::size_t i = thread; i < fits; i += kThreads) {
        log.rows[log.observed + i] = row(log, block.shared, batch.index.integer(i), i);
      }
      float* to = log.values + log.observed;
      for (int s = 0; s < batch.num_signals; ++s, to += log.capacity) {
        const Numbers& signal = batch.signals[s];
        if (!signal.data) continue;
        for (std::size_t i = thread; i < fits; i += kThreads) to[i] = signal.number(i);
      }
    });
    block.each([&](unsigned thread) {
      if (thread) return;
      count_refused(block.shared.out_of_range, header->out_of_range, header->first_out_of_range);
      count_refused(block.shared.not_allowed, header->not_allowed, header->first_not_allowed);
      const std::size_t left = room(*header);
      const std::size_t fits = batch.count < left ? batch.count : left;
      header->observed += static_cast<std::int64_t>(fits);
      header->lost += static_cast<std::int64_t>(batch.count - fits);
    });
  }
};

}  // namespace

void append(LogHeader* log, const Observation& batch, Stream stream) {
  if (batch.count >= kNone) throw std::invalid_argument("a batch takes less than 2^32 - 1 ids");
  if (batch.count) launch("an observation", Append{log, batch}, 1, stream);
}

void load_append(Stream stream) { load<Append>(stream); }

void LogParts::drop(bool folded) {
  if (folded) num_folded += num_closed();
  closed = {};
}

namespace {

void add(std::int64_t& count, std::int64_t& first, std::int64_t more, std::int64_t first_of_more) {
  if (!count) first = first_of_more;
  count += more;
}

void add_counts(LogHeader& to, const LogHeader& from) {
  to.observed += from.observed;
  to.lost += from.lost;
  add(to.out_of_range, to.first_out_of_range, from.out_of_range, from.first_out_of_range);
  add(to.not_allowed, to.first_not_allowed, from.not_allowed, from.first_not_allowed);
}

}  // namespace

std::int64_t close_log(LogHeader* log, LogParts& parts, const LogMemory& memory, int num_signals,
                       Stream stream) {
  LogHeader open = read_log(log, stream);
  const std::int64_t before = parts.closed.observed;
  const std::int64_t needed = before ? before + open.observed : open.capacity;
  if (memory.capacity < needed) return needed;
  LogHeader next = open;
  if (before) {
    const auto count = static_cast<std::size_t>(open.observed);
    copy_on_device(memory.rows + before, open.rows, count * sizeof *open.rows, stream);
    for (int s = 0; s < num_signals; ++s) {
      copy_on_device(memory.values + s * memory.capacity + before, open.values + s * open.capacity,
                     count * sizeof *open.values, stream);
    }
  } else {
    next.capacity = memory.capacity;
    next.rows = memory.rows;
    next.values = memory.values;
  }
  next.observed = next.out_of_range = next.first_out_of_range = 0;
  next.not_allowed = next.first_not_allowed = next.lost = 0;
  copy_to_device(log, &next, sizeof next, stream);
  if (!before) parts.open = 1 - parts.open;
  add_counts(parts.closed, open);
  return 0;
}

void point_log(LogHeader* log, const LogHeader& content, Stream stream) {
  const std::size_t begin = offsetof(LogHeader, capacity);
  copy_to_device(reinterpret_cast<char*>(log) + begin,
                 reinterpret_cast<const char*>(&content) + begin, sizeof content - begin, stream);
}

LogHeader read_log(const LogHeader* log, Stream stream) { return fetch(log, stream); }

void reset_log(LogHeader* log, std::int64_t observed, Stream stream) {
  const std::int64_t counts[] = {observed, 0, 0, 0, 0, 0};
  static_assert(sizeof counts == offsetof(LogHeader, capacity), "all that kernels write");
  copy_to_device(log, counts, sizeof counts, stream);
}

}  // namespace dynsample::cuda
