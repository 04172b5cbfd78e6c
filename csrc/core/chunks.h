// Rows in pieces for parallel_for.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/parallel.h"

namespace dynsample {

// Equal pieces of `least` rows or more, cut at multiples of `unit`; one piece when there is one
// thread.
class Chunks {
 public:
  static constexpr std::size_t kReadRows = std::size_t{1} << 19;  // 0.2 to 0.4 ms of one read
  static constexpr std::size_t kMadeRows = std::size_t{1} << 17;  // 0.1 to 0.3 ms of arithmetic

  explicit Chunks(std::size_t rows, std::size_t least = kReadRows, std::size_t unit = 1)
      : rows_(rows),
        unit_(unit),
        count_(num_threads() == 1 ? 1 : std::max<std::size_t>(1, rows / least)) {}

  std::size_t count() const { return count_; }

  template <class Body>  // body(chunk, first row, row after the last)
  void run(const Body& body) const {
    parallel_for(count_, [&](std::size_t c) { body(c, cut(c), cut(c + 1)); });
  }

 private:
  std::size_t cut(std::size_t c) const {
    return c == count_ ? rows_ : c * rows_ / count_ / unit_ * unit_;
  }

  std::size_t rows_, unit_, count_;
};

}  // namespace dynsample
