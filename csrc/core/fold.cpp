#include "core/fold.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/parallel.h"

namespace dynsample {
namespace {

// Seen, quota and one column of a partition's rows are to stay in the first-level cache while its
// records go by; beyond so many partitions the write to all of them at once costs more than that.
constexpr std::size_t kPartitionRows = std::size_t{1} << 12;
constexpr std::size_t kMaxPartitions = 2048;
constexpr std::size_t kDirectRecords = 8192;              // not worth a partition
constexpr std::size_t kThreadRecords = 1 << 17;           // not worth another thread
constexpr std::size_t kKeptWords = std::size_t{1} << 24;  // scratch beyond 64 MiB is given back
constexpr std::size_t kAhead = 8;  // records by which a partition's next cache line is fetched

// Records are groups of 32-bit words: the row, then the signals that columns observe. Tickets, if
// any, are in an array of their own. The common numbers of words are template arguments, the others
// (kWords = 0) are read at run time.
template <std::size_t kWords>
struct Records {
  std::size_t num_words;
  Buffer<std::uint32_t>& data;
  Buffer<std::int64_t> tickets;

  std::size_t words() const { return kWords ? kWords : num_words; }
  std::uint32_t* at(std::size_t j) { return data.data() + j * words(); }
};

struct Source {
  std::span<const std::uint32_t> rows;
  std::vector<const float*> signals;  // those that columns observe
  std::span<const std::int64_t> tickets;
  Buffer<std::uint32_t>& scratch;
};

template <std::size_t kWords>
struct Partitioned {
  Records<kWords> records;
  std::vector<std::size_t> starts;  // of the partitions, and the end
};

// Counts the kept records of [begin, end) by partition. The loops here work on copies of pointers:
// the compiler cannot know that what they store to is not what holds them.
void count(const Source& source, std::size_t begin, std::size_t end, int shift,
           std::size_t* counts) {
  const std::uint32_t* rows = source.rows.data();
  if (!source.tickets.data()) {
    for (std::size_t j = begin; j < end; ++j) ++counts[rows[j] >> shift];
  } else {
    const std::int64_t* tickets = source.tickets.data();
    for (std::size_t j = begin; j < end; ++j) counts[rows[j] >> shift] += tickets[j] >= 0;
  }
}

// Writes the kept records of [begin, end) to where `places` says, by partition.
template <std::size_t kWords>
void write(const Source& source, std::size_t begin, std::size_t end, int shift,
           Records<kWords>& records, std::size_t* places) {
  const std::size_t words = records.words();
  const float* copies[kWords ? kWords : 1];
  const float* const* signals = source.signals.data();
  if constexpr (kWords > 1) signals = std::copy_n(signals, kWords - 1, copies) - (kWords - 1);
  const std::uint32_t* rows = source.rows.data();
  const std::int64_t* tickets = source.tickets.data();
  std::uint32_t* const data = records.data.data();
  std::int64_t* const record_tickets = records.tickets.data();
  for (std::size_t j = begin; j < end; ++j) {
    if (tickets && tickets[j] < 0) continue;
    const std::size_t to = places[rows[j] >> shift]++;
    std::uint32_t* record = data + to * words;
    __builtin_prefetch(record + kAhead * words, 1);
    record[0] = rows[j];
    for (std::size_t s = 1; s < words; ++s) {
      record[s] = std::bit_cast<std::uint32_t>(signals[s - 1][j]);
    }
    if (tickets) record_tickets[to] = tickets[j];
  }
}

// Stable counting sort by row >> shift: the log is cut into chunks, each counts, then each writes
// to where its records belong. Records with a ticket below zero are left out.
template <std::size_t kWords>
Partitioned<kWords> partition(const Source& source, std::size_t partitions, int shift) {
  const std::size_t size = source.rows.size();
  const std::size_t chunks = std::clamp<std::size_t>(size / kThreadRecords, 1, num_threads());
  const auto begin = [&](std::size_t chunk) { return size * chunk / chunks; };
  std::vector<std::size_t> places(chunks * partitions);
  parallel_for(chunks, [&](std::size_t chunk) {
    count(source, begin(chunk), begin(chunk + 1), shift, places.data() + chunk * partitions);
  });
  Partitioned<kWords> result{{1 + source.signals.size(), source.scratch, {}}, {}};
  result.starts.resize(partitions + 1);
  std::size_t place = 0;
  for (std::size_t p = 0; p < partitions; ++p) {
    result.starts[p] = place;
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
      const std::size_t here = places[chunk * partitions + p];
      places[chunk * partitions + p] = place;
      place += here;
    }
  }
  result.starts[partitions] = place;
  Records<kWords>& records = result.records;
  records.data.resize(place * records.words());
  if (source.tickets.data()) records.tickets.resize(place);
  parallel_for(chunks, [&](std::size_t chunk) {
    write(source, begin(chunk), begin(chunk + 1), shift, records,
          places.data() + chunk * partitions);
  });
  return result;
}

// Puts the records of one partition into (row, ticket) order, unless they are in ticket order
// already: then call order within a row is what is asked for.
template <std::size_t kWords>
void sort_by_ticket(Records<kWords>& records, std::size_t begin, std::size_t end) {
  const std::int64_t* tickets = records.tickets.data();
  if (std::is_sorted(tickets + begin, tickets + end)) return;
  std::vector<std::size_t> order(end - begin);
  for (std::size_t j = 0; j < order.size(); ++j) order[j] = begin + j;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const std::uint32_t row_a = *records.at(a), row_b = *records.at(b);
    return row_a != row_b ? row_a < row_b : tickets[a] < tickets[b];
  });
  std::vector<std::uint32_t> sorted;
  sorted.reserve(order.size() * records.words());
  for (const std::size_t j : order) {
    sorted.insert(sorted.end(), records.at(j), records.at(j) + records.words());
  }
  std::copy(sorted.begin(), sorted.end(), records.at(begin));
}

// Moves the records within the quota to the front and marks their rows; returns where they end.
template <class Count, std::size_t kWords>
std::size_t admit(std::span<Count> quota, std::span<std::uint8_t> seen, Records<kWords>& records,
                  std::size_t begin, std::size_t end) {
  std::size_t to = begin;
  Count* const counts = quota.data();
  std::uint8_t* const flags = seen.data();
  const std::size_t words = records.words();
  const std::uint32_t* record = records.at(begin);
  for (std::size_t j = begin; j < end; ++j, record += words) {
    const std::uint32_t row = *record;
    const Count left = counts[row];
    if (left == 0) continue;
    counts[row] = left - 1;
    flags[row] = 1;
    if (to != j) std::copy_n(record, words, records.at(to));
    ++to;
  }
  return to;
}

template <std::size_t kWords>
std::size_t admit(std::monostate, std::span<std::uint8_t> seen, Records<kWords>& records,
                  std::size_t begin, std::size_t end) {
  for (std::size_t j = begin; j < end; ++j) seen[*records.at(j)] = 1;
  return end;
}

template <std::size_t kWords>
void update(const Column& column, std::size_t place, Records<kWords>& records, std::size_t begin,
            std::size_t end) {
  std::visit(
      [&](auto rule) {
        const std::size_t words = records.words();
        const std::uint32_t* record = records.at(begin);
        for (std::size_t j = begin; j < end; ++j, record += words) {
          rule.update(record[0], std::bit_cast<float>(record[place]));
        }
      },
      column.rule);
}

// The fold proper. `places` are the words of the columns' signals in a record.
template <std::size_t kWords>
std::size_t fold_records(const Source& source, std::span<const Column> columns,
                         std::span<const std::size_t> places, std::span<std::uint8_t> seen,
                         const Quota& quota) {
  std::size_t rows = kPartitionRows;
  while (rows * kMaxPartitions < seen.size()) rows *= 2;
  if (source.rows.size() <= kDirectRecords) rows = std::bit_ceil(std::max(seen.size(), rows));
  const std::size_t partitions = std::max<std::size_t>(1, (seen.size() + rows - 1) / rows);
  auto parts = partition<kWords>(source, partitions, std::countr_zero(rows));
  std::vector<std::size_t> dropped(partitions);
  const auto fold_one = [&](std::size_t p) {
    const std::size_t begin = parts.starts[p], end = parts.starts[p + 1];
    if (source.tickets.data()) sort_by_ticket(parts.records, begin, end);
    const std::size_t kept = std::visit(
        [&](auto counts) { return admit(counts, seen, parts.records, begin, end); }, quota);
    dropped[p] = end - kept;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      update(columns[c], places[c], parts.records, begin, kept);
    }
  };
  const std::size_t chunks =
      std::clamp<std::size_t>(source.rows.size() / kThreadRecords, 1, partitions);
  parallel_for(chunks, [&](std::size_t chunk) {
    for (std::size_t p = partitions * chunk / chunks; p < partitions * (chunk + 1) / chunks; ++p) {
      fold_one(p);
    }
  });
  return std::accumulate(dropped.begin(), dropped.end(), std::size_t{0});
}

}  // namespace

std::size_t fold(ObservationLog& log, std::span<const Column> columns, std::span<std::uint8_t> seen,
                 const Quota& quota, std::span<const std::int64_t> tickets) {
  const std::lock_guard<std::mutex> lock(log.mutex());
  if (seen.size() != log.num_samples()) {
    throw std::invalid_argument("seen must have " + std::to_string(log.num_samples()) +
                                " rows, got " + std::to_string(seen.size()));
  }
  if (tickets.data() && tickets.size() != log.size()) {
    throw std::invalid_argument("tickets must have " + std::to_string(log.size()) +
                                " entries, one per observation, got " +
                                std::to_string(tickets.size()));
  }
  Source source{log.rows(), {}, tickets, log.scratch()};
  std::vector<std::size_t> places;  // word of each column's signal in a record
  std::vector<std::size_t> word_of(log.num_signals(), 0);
  for (const Column& column : columns) {
    if (!word_of[column.signal]) {
      source.signals.push_back(log.signal(column.signal).data());
      word_of[column.signal] = source.signals.size();
    }
    places.push_back(word_of[column.signal]);
  }
  const auto run = [&]<std::size_t kWords>() {
    return fold_records<kWords>(source, columns, places, seen, quota);
  };
  const auto fold_all = [&] {
    switch (1 + source.signals.size()) {
      case 2:
        return run.operator()<2>();
      case 3:
        return run.operator()<3>();
      case 4:
        return run.operator()<4>();
      case 5:
        return run.operator()<5>();
      default:
        return run.operator()<0>();
    }
  };
  const std::size_t dropped = fold_all();
  if (log.scratch().capacity() > kKeptWords) log.scratch() = {};
  return dropped;
}

}  // namespace dynsample
