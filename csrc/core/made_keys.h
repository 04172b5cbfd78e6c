// Keys that are made where they are needed: to write all and read them again costs more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/isa/select.h"
#include "core/kth_key.h"

namespace dynsample {

class MadeKeys {
 public:
  static constexpr std::size_t kBatch = 1024;  // rows that are made together
  static constexpr std::size_t kUnit = 64;     // where ranges may begin

  explicit MadeKeys(std::size_t size) : size_(size) {}
  virtual ~MadeKeys() = default;

  std::size_t size() const { return size_; }

  // The keys of up to kBatch rows from `first` on, a multiple of 4; 2^32 - 1 for rows that take no
  // part.
  virtual void make(std::size_t first, std::span<std::uint32_t> keys) const = 0;

  // What SelectKernels::split does with stored keys, for a `begin` that is a multiple of kUnit, and
  // a `high` that some row has or that is above all. Rows with the largest of all keys may be
  // missing, which their number tells: the k-th is then sought among stored keys.
  virtual Split split(std::size_t begin, std::size_t end, std::uint32_t low, std::uint32_t high,
                      std::uint64_t* below, std::uint32_t* keys, std::uint32_t* ids,
                      std::size_t capacity) const;

  // All of them.
  KeyBuffer stored() const;

 private:
  std::size_t size_;
};

}  // namespace dynsample
