// The observations of an epoch that are not folded yet, in call order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "core/buffer.h"
#include "core/observations.h"

namespace dynsample {

// Rows and signals as they came; append is the cost of a training step, everything else waits for
// the fold. Memory grows geometrically, 4 bytes a row and 4 a signal.
//
// A log has two parts. Appends go to the open one, from any number of threads. close() puts it
// behind the closed one, which is what is read, matched and folded, while appends go on. Whoever
// reads the closed part holds `reading()`; a thread that waits for it must not hold what a reader
// may wait for.
class ObservationLog {
 public:
  using Reading = std::unique_lock<std::mutex>;

  // `max_bytes` bounds what both parts hold.
  ObservationLog(std::size_t num_samples, std::size_t num_signals, std::size_t max_bytes);

  // Appends one batch: signals[s] points to index.size() floats. Throws std::out_of_range for an id
  // outside of the ids, std::invalid_argument for one that was not issued, or for a plan that is
  // not open, std::length_error beyond the bound; nothing is appended then.
  template <class Id>
  void append(std::span<const Id> index, std::span<const float* const> signals,
              std::int64_t plan = kAnyPlan);

  // Gives the rows of ids that an append would take, and refuses what it would refuse.
  template <class Id>
  void rows_of(std::span<const Id> index, std::span<std::uint32_t> rows) const;

  // Gives weights[row] of the rows of ids, 1 when `weights` has no address. Throws as rows_of, and
  // std::invalid_argument when there is not one weight for each row.
  template <class Id>
  void weights(std::span<const Id> index, std::span<const float> weights,
               std::span<float> out) const;

  // Puts the open part behind the closed one: without a copy when nothing is there.
  void close();

  // Drops the closed part, and counts it as folded or not.
  void drop_closed(bool folded);
  void drop_closed(bool folded, const Reading& reading);

  // Drops both parts, and forgets what was folded.
  void clear();

  // Replaces all content by a closed part; `rows` are rows of the table.
  void restore(std::span<const std::uint32_t> rows, std::span<const float* const> signals,
               std::size_t num_folded);

  // A map of ids to rows (-1 for an id that is not there), which is copied; none: an id is its row.
  void set_rows(std::optional<std::span<const std::int32_t>> row_of);

  // Whether a row was issued; a span of no address allows all. Borrowed until the next one is set.
  using Allowed = std::span<const std::uint8_t>;
  struct Open {
    std::int64_t plan;
    Allowed allowed;
  };

  // What observations may be of: any plan, or one that they name.
  void set_allowed(Allowed allowed, std::vector<Open> open = {});

  // Makes room for `count` observations in the open part.
  void reserve(std::size_t count);

  std::size_t num_samples() const { return num_samples_; }
  std::size_t num_signals() const { return open_.num_signals(); }
  std::size_t size() const;        // of both parts
  std::size_t num_closed() const;  // of the closed one
  // Observations that were dropped as folded since the last clear or restore.
  std::size_t num_folded() const;

  Reading reading() { return Reading(reading_); }
  const Observations& closed() const { return closed_; }  // for who holds reading()

  // Working memory of a fold, kept from one to the next: fresh pages cost as much as half a fold.
  Buffer<std::uint32_t>& scratch() { return scratch_; }

 private:
  std::uint64_t num_ids() const { return row_of_ ? row_of_->size() : num_samples_; }
  void check_size(std::size_t count) const;
  std::size_t grown(std::size_t count, std::size_t capacity) const;
  template <class Id>
  void take_rows(std::span<const Id> index, std::int64_t plan, std::uint32_t* rows) const;
  template <class Id>
  [[noreturn]] void refuse(std::span<const Id> index, std::int64_t plan) const;
  Allowed allowed_of(std::int64_t plan) const;
  void check_allowed(Allowed allowed) const;

  const std::size_t num_samples_, max_rows_;
  std::mutex reading_;        // of the closed part; taken before mutex_
  mutable std::mutex mutex_;  // of the open part, and of all that says how much there is
  Observations open_, closed_;
  std::size_t num_folded_ = 0;
  std::optional<Buffer<std::int32_t>> row_of_;
  Allowed allowed_;
  std::vector<Open> open_plans_;
  Buffer<std::uint32_t> scratch_;
};

}  // namespace dynsample
