// Rows in pieces for parallel_for.
#pragma once

#include <cstddef>

#include "core/parallel.h"

namespace dynsample {

// Equal pieces of about kRows rows; one piece when there is one thread, none when there are no
// rows.
class Chunks {
 public:
  explicit Chunks(std::size_t rows)
      : rows_(rows), count_(num_threads() == 1 ? 1 : (rows + kRows - 1) / kRows) {}

  std::size_t count() const { return count_; }

  template <class Body>  // body(chunk, first row, row after the last)
  void run(const Body& body) const {
    parallel_for(count_,
                 [&](std::size_t c) { body(c, c * rows_ / count_, (c + 1) * rows_ / count_); });
  }

 private:
  static constexpr std::size_t kRows = 1u << 18;  // about 0.1 ms of work

  std::size_t rows_, count_;
};

}  // namespace dynsample
