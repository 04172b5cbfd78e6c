#include "core/pack.h"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "core/parallel.h"
#include "core/snapshot.h"

namespace dynsample {
namespace {

// What a block's rows need of the first-level cache while its records go by is to fit there; beyond
// so many blocks the write to all of them at once costs more than that.
constexpr std::size_t kBlockRows = std::size_t{1} << 12;
constexpr std::size_t kMaxBlocks = 2048;
constexpr std::size_t kDirectRecords = 8192;  // not worth more than one block
constexpr std::size_t kChunks = 4;            // for each thread, as one may be late
constexpr std::size_t kAhead = 8;  // records by which a block's next cache line is fetched

// What a log is written from. The common numbers of words and bits are template arguments, for the
// others (kMany) they are read at run time.
constexpr std::size_t kMany = 99;

// Tickets can leave observations out, and be written as well.
enum class Tickets { kNone, kDrop, kWrite };

struct Source {
  std::span<const std::uint32_t> rows;
  const std::int64_t* tickets;
  std::vector<const float*> words, bits;  // the signals
  int shift;
  std::uint32_t mask;
};

// Counts the kept records of [begin, end) by block. The loops here work on copies of pointers: the
// compiler cannot know that what they store to is not what holds them.
void count(const Source& source, std::size_t begin, std::size_t end, std::size_t* counts) {
  const std::uint32_t* rows = source.rows.data();
  const std::int64_t* tickets = source.tickets;
  const int shift = source.shift;
  if (!tickets) {
    for (std::size_t j = begin; j < end; ++j) ++counts[std::uint64_t{rows[j]} >> shift];
  } else {
    for (std::size_t j = begin; j < end; ++j) {
      counts[std::uint64_t{rows[j]} >> shift] += tickets[j] >= 0;
    }
  }
}

// Writes the kept records of [begin, end) to where `places` says, by block.
template <std::size_t kWords, std::size_t kBits, Tickets kTickets>
void write(const Source& source, std::size_t begin, std::size_t end, std::uint32_t* data,
           std::size_t* places) {
  const std::size_t num_words = kWords == kMany ? source.words.size() : kWords;
  const std::size_t num_bits = kBits == kMany ? source.bits.size() : kBits;
  const float* word_copies[kWords == kMany ? 1 : kWords + 1];
  const float* bit_copies[kBits == kMany ? 1 : kBits + 1];
  const float* const* words = source.words.data();
  const float* const* bits = source.bits.data();
  if constexpr (kWords != kMany) {
    std::copy_n(words, kWords, word_copies);
    words = word_copies;
  }
  if constexpr (kBits != kMany) {
    std::copy_n(bits, kBits, bit_copies);
    bits = bit_copies;
  }
  const std::uint32_t* rows = source.rows.data();
  const std::int64_t* tickets = source.tickets;
  const std::uint32_t mask = source.mask;
  const int shift = source.shift;
  const std::size_t size = 1 + (kTickets == Tickets::kWrite) + num_words;
  for (std::size_t j = begin; j < end; ++j) {
    if (kTickets != Tickets::kNone && tickets[j] < 0) continue;
    const std::uint32_t row = rows[j];
    std::uint32_t* record = data + places[std::uint64_t{row} >> shift]++ * size;
    __builtin_prefetch(record + kAhead * size, 1);
    std::uint32_t first = row & mask;
    for (std::size_t b = 0; b < num_bits; ++b) {
      first |= std::uint32_t{bits[b][j] != 0} << (static_cast<std::size_t>(shift) + b);
    }
    *record++ = first;
    if (kTickets == Tickets::kWrite) *record++ = static_cast<std::uint32_t>(tickets[j]);
    for (std::size_t s = 0; s < num_words; ++s) {
      record[s] = std::bit_cast<std::uint32_t>(words[s][j]);
    }
  }
}

using Write = void (*)(const Source&, std::size_t, std::size_t, std::uint32_t*, std::size_t*);

template <Tickets kTickets>
Write writer(const Source& source) {
  const auto of_words = [&]<std::size_t kWords>() -> Write {
    if (source.bits.empty()) return write<kWords, 0, kTickets>;
    return source.bits.size() == 1 ? write<kWords, 1, kTickets> : write<kWords, kMany, kTickets>;
  };
  switch (source.words.size()) {
    case 1:
      return of_words.template operator()<1>();
    case 2:
      return of_words.template operator()<2>();
    case 3:
      return of_words.template operator()<3>();
    default:
      return of_words.template operator()<kMany>();
  }
}

}  // namespace

std::size_t Layout::words() const {
  const auto bits = std::ranges::count_if(signals, [](const Signal& s) { return s.bit; });
  return 1 + tickets + signals.size() - static_cast<std::size_t>(bits);
}

Layout layout_of(const Observations& observations, std::size_t num_rows,
                 std::span<const Column> columns, bool tickets) {
  std::size_t rows = kBlockRows;
  while (rows * kMaxBlocks < num_rows) rows *= 2;
  if (observations.size() <= kDirectRecords) rows = std::bit_ceil(std::max(num_rows, rows));
  Layout layout{std::countr_zero(rows), tickets, {}};
  int free = 32 - layout.shift;
  std::vector<bool> used(observations.num_signals());
  for (const Column& column : columns) used[column.signal] = true;
  for (std::size_t s = 0; s < used.size(); ++s) {
    if (used[s]) layout.signals.push_back({s, observations.binary(s) && free-- > 0});
  }
  return layout;
}

void check_tickets(std::span<const std::int64_t> tickets, std::size_t num_observations) {
  if (tickets.size() != num_observations) {
    throw std::invalid_argument("tickets must have " + std::to_string(num_observations) +
                                " entries, one per observation, got " +
                                std::to_string(tickets.size()));
  }
  if (!tickets.empty() && std::ranges::max(tickets) > 0xFFFFFFFF) {
    throw std::invalid_argument("tickets must be below 2**32, got " +
                                std::to_string(std::ranges::max(tickets)));
  }
}

// A stable counting sort: the log is cut into chunks, each counts, then each writes to where its
// records belong.
std::vector<std::size_t> pack(const Observations& observations, std::size_t num_rows,
                              const Layout& layout, std::span<const std::int64_t> given_tickets,
                              Buffer<std::uint32_t>& records) {
  const std::size_t size = observations.size();
  // They decide twice which observations are left out.
  const Buffer<std::int64_t> tickets = snapshot(given_tickets.data(), given_tickets.size());
  if (layout.tickets || given_tickets.data()) check_tickets(tickets, size);
  Source source{
      observations.rows(),   given_tickets.data() ? tickets.data() : nullptr, {}, {}, layout.shift,
      row_mask(layout.shift)};
  for (const auto [number, bit] : layout.signals) {
    if (bit && !observations.binary(number)) throw std::invalid_argument("a signal is not 0 or 1");
    (bit ? source.bits : source.words).push_back(observations.signal(number).data());
  }
  if (static_cast<std::size_t>(layout.shift) + source.bits.size() > 32) {
    throw std::invalid_argument("rows and bits do not fit a word");
  }
  const std::size_t block_rows = std::size_t{1} << layout.shift;
  const std::size_t blocks = std::max<std::size_t>(1, (num_rows + block_rows - 1) >> layout.shift);
  const std::size_t threads = num_threads(), most = threads == 1 ? 1 : kChunks * threads;
  const std::size_t chunks = std::clamp<std::size_t>(size / kThreadRecords, 1, most);
  const auto begin = [&](std::size_t chunk) { return size * chunk / chunks; };
  std::vector<std::size_t> places(chunks * blocks);
  parallel_for(chunks, [&](std::size_t chunk) {
    count(source, begin(chunk), begin(chunk + 1), places.data() + chunk * blocks);
  });
  std::vector<std::size_t> starts(blocks + 1);
  std::size_t place = 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    starts[b] = place;
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
      const std::size_t here = places[chunk * blocks + b];
      places[chunk * blocks + b] = place;
      place += here;
    }
  }
  starts[blocks] = place;
  records.resize(place * layout.words());
  const Write write_records = layout.tickets   ? writer<Tickets::kWrite>(source)
                              : source.tickets ? writer<Tickets::kDrop>(source)
                                               : writer<Tickets::kNone>(source);
  parallel_for(chunks, [&](std::size_t chunk) {
    write_records(source, begin(chunk), begin(chunk + 1), records.data(),
                  places.data() + chunk * blocks);
  });
  return starts;
}

}  // namespace dynsample
