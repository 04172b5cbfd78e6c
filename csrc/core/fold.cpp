#include "core/fold.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/parallel.h"

namespace dynsample {
namespace {

// Columns, seen and quota of a partition's rows are to stay in the second-level cache while its
// records go by.
constexpr std::size_t kPartitionRows = std::size_t{1} << 15;
constexpr std::size_t kMaxPartitions = 1024;
constexpr std::size_t kDirectRecords = 8192;     // not worth a partition
constexpr std::size_t kThreadRecords = 1 << 17;  // not worth another thread

// Records are groups of 32-bit words: the row, then the signals that columns observe. Tickets, if
// any, are in an array of their own.
struct Records {
  std::size_t words;
  std::unique_ptr<std::uint32_t[]> data;
  std::unique_ptr<std::int64_t[]> tickets;

  std::uint32_t* at(std::size_t j) const { return data.get() + j * words; }
};

struct Source {
  std::span<const std::uint32_t> rows;
  std::vector<const float*> signals;  // those that columns observe
  std::span<const std::int64_t> tickets;
};

void write(const Source& source, std::size_t from, const Records& records, std::size_t to) {
  std::uint32_t* record = records.at(to);
  record[0] = source.rows[from];
  for (std::size_t s = 0; s < source.signals.size(); ++s) {
    record[1 + s] = std::bit_cast<std::uint32_t>(source.signals[s][from]);
  }
  if (records.tickets) records.tickets[to] = source.tickets[from];
}

struct Partitioned {
  Records records;
  std::vector<std::size_t> starts;  // of the partitions, and the end
};

// Stable counting sort by row >> shift: the log is cut into chunks, each counts, then each writes
// to where its records belong. Records with a ticket below zero are left out.
Partitioned partition(const Source& source, std::size_t partitions, int shift) {
  const std::size_t count = source.rows.size();
  const std::size_t chunks = std::clamp<std::size_t>(count / kThreadRecords, 1, num_threads());
  const auto begin = [&](std::size_t chunk) { return count * chunk / chunks; };
  const auto kept = [&](std::size_t j) { return !source.tickets.data() || source.tickets[j] >= 0; };
  std::vector<std::size_t> places(chunks * partitions);
  parallel_for(chunks, [&](std::size_t chunk) {
    std::size_t* counts = places.data() + chunk * partitions;
    for (std::size_t j = begin(chunk); j < begin(chunk + 1); ++j) {
      counts[source.rows[j] >> shift] += kept(j);
    }
  });
  Partitioned result;
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
  Records& records = result.records;
  records.words = 1 + source.signals.size();
  records.data.reset(new std::uint32_t[std::max<std::size_t>(1, place * records.words)]);
  if (source.tickets.data())
    records.tickets.reset(new std::int64_t[std::max<std::size_t>(1, place)]);
  parallel_for(chunks, [&](std::size_t chunk) {
    std::size_t* to = places.data() + chunk * partitions;
    for (std::size_t j = begin(chunk); j < begin(chunk + 1); ++j) {
      if (kept(j)) write(source, j, records, to[source.rows[j] >> shift]++);
    }
  });
  return result;
}

// Puts the records of one partition into (row, ticket) order, unless they are in ticket order
// already: then call order within a row is what is asked for.
void sort_by_ticket(const Records& records, std::size_t begin, std::size_t end) {
  const std::int64_t* tickets = records.tickets.get();
  if (std::is_sorted(tickets + begin, tickets + end)) return;
  std::vector<std::size_t> order(end - begin);
  for (std::size_t j = 0; j < order.size(); ++j) order[j] = begin + j;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const std::uint32_t row_a = *records.at(a), row_b = *records.at(b);
    return row_a != row_b ? row_a < row_b : tickets[a] < tickets[b];
  });
  std::vector<std::uint32_t> sorted;
  sorted.reserve(order.size() * records.words);
  for (const std::size_t j : order) {
    sorted.insert(sorted.end(), records.at(j), records.at(j) + records.words);
  }
  std::copy(sorted.begin(), sorted.end(), records.at(begin));
}

// Moves the records within the quota to the front; returns where they end.
template <class Count>
std::size_t within(std::span<Count> quota, const Records& records, std::size_t begin,
                   std::size_t end) {
  std::size_t to = begin;
  for (std::size_t j = begin; j < end; ++j) {
    Count& left = quota[*records.at(j)];
    if (left == 0) continue;
    left -= 1;
    if (to != j) std::copy_n(records.at(j), records.words, records.at(to));
    ++to;
  }
  return to;
}

void apply(std::span<const Column> columns, std::span<const std::size_t> places,
           std::span<std::uint8_t> seen, const Records& records, std::size_t begin,
           std::size_t end) {
  for (std::size_t j = begin; j < end; ++j) seen[*records.at(j)] = 1;
  for (std::size_t c = 0; c < columns.size(); ++c) {
    std::visit(
        [&](auto rule) {
          const std::size_t words = records.words, place = places[c];
          const std::uint32_t* record = records.at(begin);
          for (std::size_t j = begin; j < end; ++j, record += words) {
            rule.update(record[0], std::bit_cast<float>(record[place]));
          }
        },
        columns[c].rule);
  }
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
  Source source{log.rows(), {}, tickets};
  std::vector<std::size_t> places;  // word of each column's signal in a record
  std::vector<std::size_t> word_of(log.num_signals(), 0);
  for (const Column& column : columns) {
    if (!word_of[column.signal]) {
      source.signals.push_back(log.signal(column.signal).data());
      word_of[column.signal] = source.signals.size();
    }
    places.push_back(word_of[column.signal]);
  }
  const std::size_t num_samples = log.num_samples();
  std::size_t rows = kPartitionRows;
  while (rows * kMaxPartitions < num_samples) rows *= 2;
  if (log.size() <= kDirectRecords) rows = std::bit_ceil(std::max<std::size_t>(2, num_samples));
  const std::size_t partitions = std::max<std::size_t>(1, (num_samples + rows - 1) / rows);
  const Partitioned parts = partition(source, partitions, std::countr_zero(rows));
  std::vector<std::size_t> dropped(partitions);
  parallel_for(partitions, [&](std::size_t p) {
    const std::size_t begin = parts.starts[p], end = parts.starts[p + 1];
    if (parts.records.tickets) sort_by_ticket(parts.records, begin, end);
    std::size_t kept = end;
    if (auto* narrow = std::get_if<std::span<std::uint8_t>>(&quota)) {
      kept = within(*narrow, parts.records, begin, end);
    } else if (auto* wide = std::get_if<std::span<std::uint32_t>>(&quota)) {
      kept = within(*wide, parts.records, begin, end);
    }
    dropped[p] = end - kept;
    apply(columns, places, seen, parts.records, begin, kept);
  });
  std::size_t total = 0;
  for (const std::size_t d : dropped) total += d;
  return total;
}

}  // namespace dynsample
