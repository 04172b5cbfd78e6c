#include "core/fold.h"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "core/last_columns.h"
#include "core/parallel.h"

namespace dynsample {
namespace {

constexpr std::size_t kKeptWords = std::size_t{1} << 24;  // scratch beyond 64 MiB is given back

// The common numbers of words in a record are template arguments, the others (kMany) are read at
// run time.
constexpr std::size_t kMany = 99;

// Where a signal is in a record.
struct Place {
  bool bit;
  std::size_t at;
};

template <std::size_t kWords>
void update(const Column& column, Place place, Run run, std::size_t num_words, std::uint32_t mask,
            std::size_t base) {
  const std::size_t words = kWords == kMany ? num_words : kWords;
  std::visit(
      [&](auto rule) {
        if (place.bit) {
          for (const std::uint32_t* record = run.begin; record != run.end; record += words) {
            const auto value = static_cast<float>(record[0] >> place.at & 1);
            rule.update(base + (record[0] & mask), value);
          }
        } else {
          for (const std::uint32_t* record = run.begin; record != run.end; record += words) {
            rule.update(base + (record[0] & mask), std::bit_cast<float>(record[place.at]));
          }
        }
      },
      column.rule);
}

// Folds some blocks; one of these for each thread.
class Folder {
 public:
  Folder(std::span<const Segment> segments, const Layout& layout, std::span<const Column> columns,
         std::span<std::uint8_t> seen)
      : segments_(segments), layout_(layout), columns_(columns), seen_(seen) {
    std::size_t word = 1 + layout.tickets, bit = static_cast<std::size_t>(layout.shift);
    std::vector<Place> of_signal;
    for (const Layout::Signal& signal : layout.signals) {
      of_signal.resize(std::max(of_signal.size(), signal.number + 1));
      of_signal[signal.number] = {signal.bit, signal.bit ? bit++ : word++};
    }
    for (const Column& column : columns) places_.push_back(of_signal.at(column.signal));
    if (!layout.tickets) find_last();
  }

  void fold(std::size_t block) {
    const std::size_t base = block << layout_.shift;
    if (layout_.tickets && !in_ticket_order(block)) {
      sort(block);
      apply({sorted_.data(), sorted_.data() + sorted_.size()}, base);
    } else {
      for (const Segment& segment : segments_) apply(run(segment, block), base);
    }
  }

 private:
  void find_last() {
    if (columns_.size() != layout_.signals.size()) return;
    last_.words.resize(words_ - 1);
    last_.bits.resize(columns_.size() - last_.words.size());
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const auto* rule = std::get_if<LastColumn>(&columns_[c].rule);
      if (!rule) return;
      const auto [bit, at] = places_[c];
      float*& value =
          bit ? last_.bits[at - static_cast<std::size_t>(layout_.shift)] : last_.words[at - 1];
      if (value) return;  // two columns of one signal
      value = rule->value;
    }
    set_last_ = setter(last_);
  }

  Run run(const Segment& segment, std::size_t block) const {
    const std::uint32_t* const records = segment.records.data();
    return {records + segment.starts[block] * words_, records + segment.starts[block + 1] * words_};
  }

  bool in_ticket_order(std::size_t block) const {
    std::uint32_t last = 0;
    for (const Segment& segment : segments_) {
      const Run records = run(segment, block);
      for (const std::uint32_t* record = records.begin; record != records.end; record += words_) {
        if (record[1] < last) return false;
        last = record[1];
      }
    }
    return true;
  }

  void sort(std::size_t block) {
    order_.clear();
    for (const Segment& segment : segments_) {
      const Run records = run(segment, block);
      for (const std::uint32_t* at = records.begin; at != records.end; at += words_) {
        order_.push_back(at);
      }
    }
    const std::uint32_t mask = row_mask(layout_.shift);
    std::stable_sort(order_.begin(), order_.end(),
                     [mask](const std::uint32_t* a, const std::uint32_t* b) {
                       const std::uint32_t row_a = a[0] & mask, row_b = b[0] & mask;
                       return row_a != row_b ? row_a < row_b : a[1] < b[1];
                     });
    sorted_.clear();
    for (const std::uint32_t* record : order_) {
      sorted_.insert(sorted_.end(), record, record + words_);
    }
  }

  void apply(Run records, std::size_t base) {
    if (set_last_) {
      set_last_(last_, seen_.data(), records, layout_.shift, base);
      return;
    }
    const std::uint32_t mask = row_mask(layout_.shift);
    std::uint8_t* const flags = seen_.data() + base;
    for (const std::uint32_t* record = records.begin; record != records.end; record += words_) {
      flags[record[0] & mask] = 1;
    }
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const auto of_words = [&]<std::size_t kWords>() {
        update<kWords>(columns_[c], places_[c], records, words_, mask, base);
      };
      switch (words_) {
        case 2:
          of_words.operator()<2>();
          break;
        case 3:
          of_words.operator()<3>();
          break;
        case 4:
          of_words.operator()<4>();
          break;
        default:
          of_words.operator()<kMany>();
      }
    }
  }

  const std::span<const Segment> segments_;
  const Layout& layout_;
  const std::span<const Column> columns_;
  const std::span<std::uint8_t> seen_;
  const std::size_t words_ = layout_.words();
  std::vector<Place> places_;
  LastColumns last_;
  SetLast set_last_ = nullptr;
  std::vector<const std::uint32_t*> order_;
  std::vector<std::uint32_t> sorted_;
};

}  // namespace

void check_segment(const Segment& segment, const Layout& layout, std::size_t num_rows) {
  const auto [records, starts] = segment;
  const std::uint32_t mask = row_mask(layout.shift);
  const std::size_t words = layout.words(), blocks = (num_rows + mask) >> layout.shift;
  const auto refuse_if = [](bool wrong, const char* what) {
    if (wrong) throw std::invalid_argument(what);
  };
  refuse_if(starts.size() != blocks + 1, "does not have the blocks of the rows");
  refuse_if(starts.front() != 0 || !std::ranges::is_sorted(starts), "has blocks out of order");
  refuse_if(records.size() % words != 0 || starts.back() != records.size() / words,
            "does not have as many records as its blocks");
  if ((num_rows & mask) == 0) return;  // within a whole block every row is one of them
  for (std::size_t r = starts[blocks - 1]; r < starts[blocks]; ++r) {
    refuse_if((records[r * words] & mask) >= (num_rows & mask), "has a record beyond the last row");
  }
}

void fold(std::span<const Segment> segments, const Layout& layout, std::span<const Column> columns,
          std::span<std::uint8_t> seen) {
  const std::size_t blocks = segments.empty() ? 0 : segments[0].starts.size() - 1;
  if (blocks == 0) return;
  std::size_t records = 0;
  for (const Segment& segment : segments) {
    if (segment.starts.size() != blocks + 1) {
      throw std::invalid_argument("segments must have the same blocks");
    }
    records += segment.starts[blocks];
  }
  const std::size_t chunks = std::clamp<std::size_t>(records / kThreadRecords, 1, blocks);
  parallel_for(chunks, [&](std::size_t chunk) {
    Folder folder(segments, layout, columns, seen);
    for (std::size_t b = blocks * chunk / chunks; b < blocks * (chunk + 1) / chunks; ++b) {
      folder.fold(b);
    }
  });
}

void fold(ObservationLog& log, std::span<const Portion> portions, std::span<std::uint8_t> seen) {
  const ObservationLog::Reading reading = log.reading();
  if (seen.size() != log.num_samples()) {
    throw std::invalid_argument("seen must have " + std::to_string(log.num_samples()) +
                                " rows, got " + std::to_string(seen.size()));
  }
  const std::size_t num_rows = log.num_samples();
  for (const Portion& portion : portions.subspan(portions.empty() ? 0 : 1)) {
    if (portion.tickets.data()) check_tickets(portion.tickets, log.closed().size());
  }
  for (const auto [columns, tickets] : portions) {
    const Layout layout = layout_of(log.closed(), num_rows, columns, tickets.data() != nullptr);
    const auto starts = pack(log.closed(), num_rows, layout, tickets, log.scratch());
    const Segment segment{log.scratch(), starts};
    fold({&segment, 1}, layout, columns, seen);
  }
  log.drop_closed(true, reading);
  if (log.scratch().capacity() > kKeptWords) log.scratch() = {};
}

}  // namespace dynsample
