#include "core/order.h"

#include <stdexcept>
#include <string>

#include "core/chunks.h"
#include "core/dispatch.h"
#include "core/snapshot.h"

namespace dynsample {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 16;  // some 0.2 ms of one thread

// Calls body(begin, count) for pieces of [0, size).
template <class Body>
void for_chunks(std::size_t size, const Body& body) {
  Chunks(size, kChunk).run([&](std::size_t, std::size_t begin, std::size_t end) {
    body(begin, end - begin);
  });
}

}  // namespace

void permute(const Permutation& p, std::uint32_t first, std::span<std::int64_t> out) {
  for_chunks(out.size(), [&](std::size_t begin, std::size_t count) {
    kernels().permute.forward(p, nullptr, first + static_cast<std::uint32_t>(begin), count,
                              out.data() + begin);
  });
}

void order_slice(const Permutation& p, std::span<const std::uint32_t> ids, std::uint32_t first,
                 std::span<std::int64_t> out) {
  for_chunks(out.size(), [&](std::size_t begin, std::size_t count) {
    kernels().permute.forward(p, ids.data(), first + static_cast<std::uint32_t>(begin), count,
                              out.data() + begin);
  });
}

void unpermute(const Permutation& p, std::span<const std::int64_t> values,
               std::span<std::int64_t> out) {
  for_chunks(out.size(), [&](std::size_t begin, std::size_t count) {
    std::int64_t* const here = out.data() + begin;
    snapshot(values.data() + begin, count, here);
    for (std::size_t j = 0; j < count; ++j) {
      if (here[j] < 0 || here[j] >= std::int64_t{p.n}) {
        throw std::out_of_range("values must be in [0, " + std::to_string(p.n) + "), got " +
                                std::to_string(here[j]) + " at " + std::to_string(begin + j));
      }
    }
    kernels().permute.backward(p, here, count, here);
  });
}

}  // namespace dynsample
