// Rows of a score column as blocks read them: tiles of 16 rows a thread, in loads of 16 bytes.
#pragma once

#include <algorithm>

#include "core/order_key.h"
#include "core/rows.h"
#include "cuda/launch.h"

namespace dynsample::cuda {

class RowReader {
 public:
  using Word = std::uint32_t __attribute__((may_alias));
  static constexpr unsigned kThreads = 256, kPerThread = 16, kTile = kThreads * kPerThread;

  explicit RowReader(const Rows& rows)
      : words_(rows.keys ? reinterpret_cast<const Word*>(rows.keys)
                         : reinterpret_cast<const Word*>(rows.values)),
        where_(rows.keys ? nullptr : rows.where),
        size_(rows.size),
        ready_(rows.keys != nullptr),
        aligned_(reinterpret_cast<std::uintptr_t>(words_) % sizeof(Four) == 0 &&
                 reinterpret_cast<std::uintptr_t>(where_) % sizeof(Word) == 0),
        first_key_(!ready_ && rows.finite_only ? order_key(0x80000000u | kInfinityBits) + 1 : 0),
        last_key_(ready_             ? kNotEligibleKey - 1
                  : rows.finite_only ? order_key(kInfinityBits) - 1
                                     : kNanKey) {}

  DYNSAMPLE_HOST_DEVICE std::size_t size() const { return size_; }

  // Blocks that read all rows, a few tiles each: the device's scheduler evens their times out.
  unsigned blocks(Stream stream) const {
    const std::size_t tiles = (size_ + kTile - 1) / kTile;
    return static_cast<unsigned>(std::clamp<std::size_t>(tiles, 1, kRounds * busy_blocks(stream)));
  }

  // Calls body(first, held) for the tiles of this block, held being a thread's rows of the one from
  // `first` on.
  template <class Block, class Body>
  DYNSAMPLE_DEVICE void tiles(const Block& block, unsigned thread, const Body& body) const {
    const std::size_t step = std::size_t{block.count()} * kTile;
    for (std::size_t first = std::size_t{block.index()} * kTile; first < size_; first += step) {
      body(first, load(first, thread));
    }
  }

  // Keys of rows that take part, but for `where`, are in [first_key, last_key]; no others are.
  DYNSAMPLE_HOST_DEVICE std::uint32_t first_key() const { return first_key_; }
  DYNSAMPLE_HOST_DEVICE std::uint32_t last_key() const { return last_key_; }
  DYNSAMPLE_DEVICE bool takes_part(std::uint32_t key) const {
    return key - first_key_ <= last_key_ - first_key_;
  }

  // What a thread holds of a tile: words, float bits or ready keys, and which of them are there:
  // the row exists, and its byte in `where` is not 0.
  struct Held {
    std::uint32_t word[kPerThread];
    std::uint32_t present;
  };

  // Row j of a thread's in the tile from row `first` on: neighbours in fours, as they are loaded.
  DYNSAMPLE_DEVICE static std::size_t row(std::size_t first, unsigned thread, unsigned j) {
    return first + (j / 4 * kThreads + thread) * 4 + j % 4;
  }

  DYNSAMPLE_DEVICE Held load(std::size_t first, unsigned thread) const {
    return aligned_ && first + kTile <= size_ ? load_fours(first, thread)
                                              : load_singly(first, thread);
  }

  DYNSAMPLE_DEVICE std::uint32_t word(std::size_t i) const { return words_[i]; }

  // The key of a word, whatever takes part.
  DYNSAMPLE_DEVICE std::uint32_t key_of(std::uint32_t word) const {
    return ready_ ? word : order_key(word);
  }
  DYNSAMPLE_DEVICE std::uint32_t key(const Held& held, unsigned j) const {
    return held.present >> j & 1 ? key_of(held.word[j]) : kNotEligibleKey;
  }
  // The key by which a row is counted: kNotEligibleKey when it takes no part.
  DYNSAMPLE_DEVICE std::uint32_t counted_key(const Held& held, unsigned j) const {
    const std::uint32_t key = key_of(held.word[j]);
    return (held.present >> j & 1) && takes_part(key) ? key : kNotEligibleKey;
  }
  DYNSAMPLE_DEVICE std::uint32_t counted_key(std::size_t i) const {
    const std::uint32_t key = key_of(words_[i]);
    return (!where_ || where_[i]) && takes_part(key) ? key : kNotEligibleKey;
  }

 private:
  struct __attribute__((may_alias, aligned(16))) Four {
    std::uint32_t word[4];
  };

  DYNSAMPLE_DEVICE Held load_fours(std::size_t first, unsigned thread) const {
    Held held;
    held.present = 0xFFFFu;
    Four fours[kPerThread / 4];
    DYNSAMPLE_UNROLL
    for (unsigned q = 0; q < kPerThread / 4; ++q) {
      fours[q] = *reinterpret_cast<const Four*>(words_ + row(first, thread, 4 * q));
    }
    if (where_) {
      held.present = 0;
      DYNSAMPLE_UNROLL
      for (unsigned q = 0; q < kPerThread / 4; ++q) {
        const Word bytes = *reinterpret_cast<const Word*>(where_ + row(first, thread, 4 * q));
        held.present |= nonzero_bytes(bytes) << 4 * q;
      }
    }
    DYNSAMPLE_UNROLL
    for (unsigned j = 0; j < kPerThread; ++j) held.word[j] = fours[j / 4].word[j % 4];
    return held;
  }

  DYNSAMPLE_DEVICE Held load_singly(std::size_t first, unsigned thread) const {
    Held held;
    held.present = 0;
    DYNSAMPLE_UNROLL
    for (unsigned j = 0; j < kPerThread; ++j) {
      const std::size_t i = row(first, thread, j);
      const bool there = i < size_;
      held.word[j] = there ? words_[i] : 0;
      held.present |= unsigned{there && (!where_ || where_[i])} << j;
    }
    return held;
  }

  // Bit b: byte b is not 0.
  DYNSAMPLE_DEVICE static std::uint32_t nonzero_bytes(std::uint32_t bytes) {
    const std::uint32_t tops = ((bytes & 0x7F7F7F7Fu) + 0x7F7F7F7Fu) | bytes;
    return ((tops >> 7 & 0x01010101u) * 0x01020408u) >> 24 & 0xFu;
  }

  const Word* words_;
  const std::uint8_t* where_;
  std::size_t size_;
  bool ready_, aligned_;
  std::uint32_t first_key_, last_key_;
};

}  // namespace dynsample::cuda
