// Ids of the set rows of a mask, and rank and select on a bitmap; see core/bitmap.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dynsample {

struct BitmapView {
  const std::uint64_t* words;
  const std::uint32_t* before;  // set bits in the words before; one more entry than words
  std::size_t num_words;
  const std::uint32_t* hints;  // hints[r >> kHintShift] = the word with the set bit of that rank
  std::size_t size;            // bits
};

constexpr int kHintShift = 9;

struct BitmapKernels {
  // Bytes of mask[0, n) that are not zero.
  std::size_t (*count)(const std::uint8_t* mask, std::size_t n);
  // Rows of [begin, end) with a byte that is not zero (zero, if `invert`), ascending, to `ids`,
  // which has `capacity` places, as many as there are such rows. Returns how many were written:
  // another number when the mask changed since they were counted.
  std::size_t (*ids)(const std::uint8_t* mask, std::size_t begin, std::size_t end, bool invert,
                     std::uint32_t* ids, std::size_t capacity);
  // Bit i of words = mask[i] is not zero; the last word is filled up with zeros.
  void (*pack)(const std::uint8_t* mask, std::size_t n, std::uint64_t* words);
  // before[w] = set bits in words[0, w), for w in [0, num_words].
  void (*cumulate)(const std::uint64_t* words, std::size_t num_words, std::uint32_t* before);
  // ranks[j] = set bits before ids[j]. Returns the number of ids before the first one that is not
  // in [0, size).
  std::size_t (*rank)(const BitmapView& bits, const std::int64_t* ids, std::size_t n,
                      std::int64_t* ranks);
  // ids[j] = the set bit with ranks[j] set bits before it. Returns the number of ranks before the
  // first one that is not in [0, set bits).
  std::size_t (*select)(const BitmapView& bits, const std::int64_t* ranks, std::size_t n,
                        std::int64_t* ids);
};

}  // namespace dynsample
