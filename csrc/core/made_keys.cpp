#include "core/made_keys.h"

#include <algorithm>
#include <array>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/rows.h"

namespace dynsample {

Split MadeKeys::split(std::size_t begin, std::size_t end, std::uint32_t low, std::uint32_t high,
                      std::uint64_t* below, std::uint32_t* keys, std::uint32_t* ids,
                      std::size_t capacity) const {
  std::array<std::uint32_t, kBatch> batch;
  Split total = {0, 0};
  for (std::size_t at = begin; at < end && total.inside <= capacity; at += kBatch) {
    Rows rows = {};
    rows.size = std::min(kBatch, end - at);
    rows.keys = batch.data();
    make(at, {batch.data(), rows.size});
    std::uint32_t* const found_ids = ids + total.inside;
    const Split found =
        kernels().select.split(rows, 0, rows.size, low, high, below + (at - begin) / 64,
                               keys + total.inside, found_ids, capacity - total.inside);
    for (std::size_t j = 0; j < found.inside; ++j) found_ids[j] += static_cast<std::uint32_t>(at);
    total.below += found.below;
    total.inside += found.inside;
  }
  return total;
}

KeyBuffer MadeKeys::stored() const {
  KeyBuffer keys = key_buffer(size_);
  Chunks(size_, Chunks::kMadeRows, kUnit)
      .run([&](std::size_t, std::size_t first, std::size_t last) {
        for (std::size_t at = first; at < last; at += kBatch) {
          make(at, {keys.data() + at, std::min(kBatch, last - at)});
        }
      });
  return keys;
}

}  // namespace dynsample
