#include <stdexcept>

#include "core/bits.h"
#include "core/order_key.h"
#include "cuda/launch.h"
#include "cuda/log.h"

namespace dynsample::cuda {
namespace {

constexpr unsigned kNone = 0xFFFFFFFFu;

// The blocks of a large batch add to `pending` what they refused, and the last one to the header.
struct Append {
  static constexpr int kThreads = 1024;
  static constexpr std::size_t kOneBlock = 4096;  // rows that are not worth more
  struct Refused {
    unsigned count, first;  // place in the batch
  };
  struct Shared {
    Refused out_of_range, not_allowed;
    bool last;
  };
  LogHeader* header;
  LogPending* pending;
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
      return kNoRow;
    }
    const std::uint32_t row =
        log.row_of ? static_cast<std::uint32_t>(log.row_of[id]) : static_cast<std::uint32_t>(id);
    if (row == kNoRow || (log.allowed && !log.allowed[row])) {
      refuse(shared.not_allowed, place);
      return kNoRow;
    }
    return row;
  }

  template <class Block>
  DYNSAMPLE_DEVICE void put(Block& block) const {
    block.each([&](unsigned thread) {
      if (!thread) block.shared.out_of_range = block.shared.not_allowed = {0, kNone};
    });
    block.each([&](unsigned thread) {
      const LogHeader log = *header;
      const std::size_t step = std::size_t{block.count()} * kThreads;
      const std::size_t first = std::size_t{block.index()} * kThreads + thread;
      const std::size_t fits = batch.count < room(log) ? batch.count : room(log);
      for (std::size_t i = first; i < fits; i += step) {
        log.rows[log.observed + i] = row(log, block.shared, batch.index.integer(i), i);
      }
      float* to = log.values + log.observed;
      for (int s = 0; s < batch.num_signals; ++s, to += log.capacity) {
        const Numbers& signal = batch.signals[s];
        if (!signal.data) continue;
        for (std::size_t i = first; i < fits; i += step) to[i] = signal.number(i);
      }
    });
  }

  // What is pending is 0 between appends: of the first place, what is missing to kNone.
  DYNSAMPLE_DEVICE static void give(LogPending::Refused& to, const Refused& refused) {
    if (!refused.count) return;
    atomic_add(&to.count, refused.count);
    atomic_max(&to.missing, kNone - refused.first);
  }

  DYNSAMPLE_DEVICE static Refused take(LogPending::Refused& from) {
    const Refused refused = {from.count, kNone - from.missing};
    from = {0, 0};
    return refused;
  }

  DYNSAMPLE_DEVICE void count_refused(const Refused& refused, std::int64_t& count,
                                      std::int64_t& first) const {
    if (!refused.count) return;
    if (!count) first = batch.index.integer(refused.first);
    count += refused.count;
  }

  DYNSAMPLE_DEVICE void finish(const Refused& out_of_range, const Refused& not_allowed) const {
    count_refused(out_of_range, header->out_of_range, header->first_out_of_range);
    count_refused(not_allowed, header->not_allowed, header->first_not_allowed);
    const std::size_t left = room(*header);
    const std::size_t fits = batch.count < left ? batch.count : left;
    header->observed += static_cast<std::int64_t>(fits);
    header->lost += static_cast<std::int64_t>(batch.count - fits);
  }

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    Shared& shared = block.shared;
    put(block);
    block.each([&](unsigned thread) {
      if (thread) return;
      if (block.count() == 1) return finish(shared.out_of_range, shared.not_allowed);
      give(pending->out_of_range, shared.out_of_range);
      give(pending->not_allowed, shared.not_allowed);
    });
    if (block.count() == 1 || !last_block(block, &pending->arrived, shared.last)) return;
    block.each([&](unsigned thread) {
      if (!thread) finish(take(pending->out_of_range), take(pending->not_allowed));
    });
  }
};

}  // namespace

void append(LogHeader* log, const Observation& batch, Stream stream) {
  if (batch.count >= kNone) throw std::invalid_argument("a batch takes less than 2^32 - 1 ids");
  if (!batch.count) return;
  const unsigned blocks =
      batch.count <= Append::kOneBlock ? 1 : blocks_for(batch.count, Append::kThreads, stream);
  auto* const pending = reinterpret_cast<LogPending*>(log + 1);
  launch("an observation", Append{log, pending, batch}, blocks, stream);
}

void load_append(Stream stream) { load<Append>(stream); }

void LogParts::drop(bool folded) {
  if (folded) num_folded += num_closed();
  closed = {};
  non_finite = 0;
}

namespace {

// What a close learns of the open part.
struct Closing {
  LogHeader open;
  std::uint64_t non_finite;
};

DYNSAMPLE_DEVICE inline void clear_counts(LogHeader& log) {
  log.observed = log.out_of_range = log.first_out_of_range = 0;
  log.not_allowed = log.first_not_allowed = log.lost = 0;
}

// Hands the open part over; with `swap` appends go to `next` from now on.
struct TakeOpen {
  LogHeader* log;
  bool swap;
  LogMemory next;
  Closing* found;

  DYNSAMPLE_DEVICE void operator()(std::size_t) const {
    *found = {*log, 0};
    if (!swap) return;
    log->capacity = next.capacity;
    log->rows = next.rows;
    log->values = next.values;
    clear_counts(*log);
  }
};

struct ClearCounts {
  LogHeader* log;

  DYNSAMPLE_DEVICE void operator()(std::size_t) const { clear_counts(*log); }
};

struct CountNonFinite {
  static constexpr int kThreads = 256;
  struct Shared {
    std::uint64_t count;
  };
  Closing* found;
  int num_signals;

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    Shared& shared = block.shared;
    block.each([&](unsigned thread) {
      if (!thread) shared.count = 0;
    });
    block.each([&](unsigned thread) {
      const LogHeader& log = found->open;
      const auto size = static_cast<std::size_t>(log.observed);
      const std::size_t step = std::size_t{block.count()} * kThreads;
      std::uint64_t count = 0;
      for (std::size_t i = std::size_t{block.index()} * kThreads + thread; i < size; i += step) {
        if (log.rows[i] == kNoRow) continue;
        for (int s = 0; s < num_signals; ++s) {
          count += !is_finite_bits(float_bits(log.values[s * log.capacity + i]));
        }
      }
      if (count) atomic_add(&shared.count, count);
    });
    block.each([&](unsigned thread) {
      if (!thread && shared.count) atomic_add(&found->non_finite, shared.count);
    });
  }
};

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

// Puts the observations of an open part at a place of a memory.
void copy_observations(const LogHeader& from, const LogMemory& to, std::int64_t place,
                       int num_signals, Stream stream) {
  const auto count = static_cast<std::size_t>(from.observed);
  copy_on_device(to.rows + place, from.rows, count * sizeof *from.rows, stream);
  for (int s = 0; s < num_signals; ++s) {
    copy_on_device(to.values + s * to.capacity + place, from.values + s * from.capacity,
                   count * sizeof *from.values, stream);
  }
}

}  // namespace

std::int64_t close_log(LogHeader* log, LogParts& parts, std::int64_t capacity,
                       const LogMemory& memory, int num_signals, Scratch& scratch, Stream stream) {
  const std::int64_t before = parts.closed.observed;
  const bool swap = !before;
  if (swap && memory.capacity < capacity) return capacity;
  auto* const found = scratch.array<Closing>(1);
  for_each("the open part", 1, TakeOpen{log, swap, memory, found}, stream);
  launch("what is not finite", CountNonFinite{found, num_signals},
         blocks_for(static_cast<std::size_t>(capacity), CountNonFinite::kThreads, stream), stream);
  const Closing closing = fetch(found, stream);
  const LogHeader& open = closing.open;
  if (!swap) {
    if (memory.capacity < before + open.observed) return before + open.observed;
    copy_observations(open, memory, before, num_signals, stream);
    reset_log(log, stream);
  } else {
    parts.open = 1 - parts.open;
  }
  add_counts(parts.closed, open);
  parts.non_finite += static_cast<std::int64_t>(closing.non_finite);
  return 0;
}

namespace {

struct WriteContent {
  LogHeader* log;
  LogHeader content;

  DYNSAMPLE_DEVICE void operator()(std::size_t) const {
    log->capacity = content.capacity;
    log->rows = content.rows;
    log->values = content.values;
    log->row_of = content.row_of;
    log->num_ids = content.num_ids;
    log->allowed = content.allowed;
  }
};

}  // namespace

LogHeader point_log(LogHeader* log, const LogHeader& content, Stream stream) {
  for_each("the content of a log", 1, WriteContent{log, content}, stream);
  return read_log(log, stream);
}

LogHeader read_log(const LogHeader* log, Stream stream) { return fetch(log, stream); }

void reset_log(LogHeader* log, Stream stream) {
  for_each("a log without counts", 1, ClearCounts{log}, stream);
  read_log(log, stream);
}

void settle(Stream stream) { wait_for_device(stream); }

}  // namespace dynsample::cuda
