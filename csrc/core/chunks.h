// Rows in pieces for parallel_for.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/parallel.h"

namespace dynsample {

// Equal pieces of `least` rows or more; one piece when there is one thread.
class Chunks {
 public:
  explicit Chunks(std::size_t rows, std::size_t least = kReadRows)
      : rows_(rows), count_(num_threads() == 1 ? 1 : std::max<std::size_t>(1, rows / least)) {}

  std::size_t count() const { return count_; }

  template <class Body>  // body(chunk, first row, row after the last)
  void run(const Body& body) const {
    parallel_for(count_,
                 [&](std::size_t c) { body(c, c * rows_ / count_, (c + 1) * rows_ / count_); });
  }

 private:
  static constexpr std::size_t kReadRows = std::size_t{1} << 19;  // 0.2 to 0.4 ms of one read

  std::size_t rows_, count_;
};

}  // namespace dynsample
