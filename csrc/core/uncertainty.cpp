#include "core/uncertainty.h"

#include <algorithm>
#include <stdexcept>

#include "core/dispatch.h"
#include "core/parallel.h"

namespace dynsample {
namespace {

constexpr std::size_t kRows = 1 << 16;  // of a chunk: about a millisecond

void add(const float* window, std::size_t stride, std::size_t size, std::size_t rows, double* sum) {
  kernels().uncertainty.add_floats(window, stride, size, rows, sum);
}

void add(const double* window, std::size_t stride, std::size_t size, std::size_t rows,
         double* sum) {
  kernels().uncertainty.add_doubles(window, stride, size, rows, sum);
}

}  // namespace

template <class T>
void add_epoch(std::span<const double> probabilities, std::span<T> window,
               std::span<std::uint32_t> count, std::span<double> sum, bool add_now) {
  const std::size_t n = probabilities.size();
  if (n == 0) return;
  const std::size_t size = window.size() / n;
  if (window.size() % n || count.size() != n || sum.size() != n) {
    throw std::invalid_argument("window, count and sum must have a row per probability");
  }
  if (size < 2) throw std::invalid_argument("window must hold at least 2 epochs");
  parallel_for((n + kRows - 1) / kRows, [&](std::size_t chunk) {
    const std::size_t last = std::min(n, (chunk + 1) * kRows);
    const std::size_t first = chunk * kRows;
    std::uint32_t same = count[first];  // most rows have as many as the one before: one division
    T* slot = window.data() + same % size * n;
    for (std::size_t row = first; row < last; ++row) {
      if (probabilities[row] == 0) continue;
      if (count[row] != same) {
        same = count[row];
        slot = window.data() + same % size * n;
      }
      slot[row] = static_cast<T>(probabilities[row]);
      count[row] += 1;
    }
    if (add_now) add(window.data() + first, n, size, last - first, sum.data() + first);
  });
}

bool fit_floats(std::span<const double> values) {
  bool other = false;
  for (const double value : values) {
    other |= static_cast<double>(static_cast<float>(value)) != value && value == value;
  }
  return !other;
}

template void add_epoch(std::span<const double>, std::span<float>, std::span<std::uint32_t>,
                        std::span<double>, bool);
template void add_epoch(std::span<const double>, std::span<double>, std::span<std::uint32_t>,
                        std::span<double>, bool);

}  // namespace dynsample
