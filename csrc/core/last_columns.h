// The fold of columns of kind Last, which is what most policies keep.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/pack.h"

namespace dynsample {

// Records of one block, in the segments or sorted in a buffer.
struct Run {
  const std::uint32_t* begin;
  const std::uint32_t* end;
};

// Columns of kind Last, one for each signal of the records: all are set in one go over them.
struct LastColumns {
  std::vector<float*> words, bits;  // in the order of the record
};

template <std::size_t kWords, std::size_t kBits>
void set_last(const LastColumns& columns, std::uint8_t* seen, Run run, int shift,
              std::size_t base) {
  const std::uint32_t mask = row_mask(shift);
  float* words[kWords + 1];
  float* bits[kBits + 1];
  for (std::size_t s = 0; s < kWords; ++s) words[s] = columns.words[s] + base;
  for (std::size_t b = 0; b < kBits; ++b) bits[b] = columns.bits[b] + base;
  seen += base;
  for (const std::uint32_t* record = run.begin; record != run.end; record += 1 + kWords) {
    const std::uint32_t row = record[0] & mask;
    seen[row] = 1;
    for (std::size_t s = 0; s < kWords; ++s) words[s][row] = std::bit_cast<float>(record[1 + s]);
    for (std::size_t b = 0; b < kBits; ++b) {
      bits[b][row] =
          static_cast<float>(std::uint64_t{record[0]} >> (static_cast<std::size_t>(shift) + b) & 1);
    }
  }
}

using SetLast = void (*)(const LastColumns&, std::uint8_t*, Run, int, std::size_t);

// The loop for these columns; null for none: then each column goes over the records by itself.
inline SetLast setter(const LastColumns& columns) {
  const auto of_words = [&]<std::size_t kWords>() -> SetLast {
    switch (columns.bits.size()) {
      case 0:
        return set_last<kWords, 0>;
      case 1:
        return set_last<kWords, 1>;
      default:
        return nullptr;
    }
  };
  switch (columns.words.size()) {
    case 1:
      return of_words.template operator()<1>();
    case 2:
      return of_words.template operator()<2>();
    case 3:
      return of_words.template operator()<3>();
    default:
      return nullptr;
  }
}

}  // namespace dynsample
