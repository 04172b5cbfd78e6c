#include "core/isa/uncertainty.h"

#include "core/isa/isa.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

using std::size_t;

constexpr size_t kBlock = 64;

// The order of additions is that of dynsample::uncertainty, row by row.
template <class T>
void add_block(const T* window, size_t stride, size_t size, size_t rows, double* sum) {
  double mean[kBlock] = {}, squares[kBlock] = {};
  for (size_t slot = 0; slot < size; ++slot) {
    const T* const values = window + slot * stride;
    for (size_t i = 0; i < rows; ++i) mean[i] += static_cast<double>(values[i]);
  }
  for (size_t i = 0; i < rows; ++i) mean[i] /= static_cast<double>(size);
  for (size_t slot = 0; slot < size; ++slot) {
    const T* const values = window + slot * stride;
    for (size_t i = 0; i < rows; ++i) {
      const double off = static_cast<double>(values[i]) - mean[i];
      squares[i] += off * off;
    }
  }
  for (size_t i = 0; i < rows; ++i) {
    sum[i] += 10.0 * __builtin_sqrt(squares[i] / static_cast<double>(size - 1));
  }
}

template <class T>
void add(const T* window, size_t stride, size_t size, size_t rows, double* sum) {
  size_t row = 0;
  for (; row + kBlock <= rows; row += kBlock) {
    add_block(window + row, stride, size, kBlock, sum + row);
  }
  if (row < rows) add_block(window + row, stride, size, rows - row, sum + row);
}

}  // namespace

extern const UncertaintyKernels uncertainty_kernels;
const UncertaintyKernels uncertainty_kernels = {&add<float>, &add<double>};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
