// Columns: one per-sample array (or a few) with an update rule.
//
// Each struct names its kind, borrows its arrays and applies one observation with `update(row, x)`.
// `borrow` lists what it needs, by the names that dynsample/table/ has: its parameter, and its
// parts with their elements per row, one unless said; a part of bytes holds bools. The arithmetic
// is fixed to the bit: observations of a row come in ticket order, rows do not touch each other.
// Shared by the CPU and the GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>

#include "core/bits.h"
#include "core/order_key.h"
#include "core/window.h"

namespace dynsample {

// The result of an operation, any NaN as the same one: which NaN comes out of inf - inf, and
// whether that of an operand is kept, differs between processors, and a table is saved by its bits.
DYNSAMPLE_HOST_DEVICE inline float one_nan(float x) {
  const std::uint32_t bits = float_bits(x);
  return (bits & 0x7FFFFFFFu) > kInfinityBits ? float_of_bits(0x7FC00000u) : x;
}
DYNSAMPLE_HOST_DEVICE inline double one_nan(double x) {
  const std::uint64_t bits = double_bits(x);
  const bool nan = (bits & 0x7FFFFFFFFFFFFFFFu) > 0x7FF0000000000000u;
  return nan ? double_of_bits(0x7FF8000000000000u) : x;
}

// The last observation.
struct LastColumn {
  static constexpr const char* kKind = "last";

  float* value;

  template <class From>
  void borrow(const From& from) {
    from.part("value", value);
  }

  DYNSAMPLE_HOST_DEVICE void update(std::size_t row, float x) const { value[row] = x; }
};

// value += step * (x - value). NaN means that nothing (or nothing usable) is there yet: the next
// observation starts it again.
struct EmaColumn {
  static constexpr const char* kKind = "ema";

  float* value;
  float step;

  template <class From>
  void borrow(const From& from) {
    from.number(step);
    from.part("value", value);
  }

  DYNSAMPLE_HOST_DEVICE void update(std::size_t row, float x) const {
    const float old = value[row];
    value[row] = old != old ? x : one_nan(old + step * (x - old));
  }
};

// Sum and count.
struct MeanColumn {
  static constexpr const char* kKind = "mean";

  double* sum;
  std::uint32_t* count;

  template <class From>
  void borrow(const From& from) {
    from.part("sum", sum);
    from.part("count", count);
  }

  DYNSAMPLE_HOST_DEVICE void update(std::size_t row, float x) const {
    sum[row] = one_nan(sum[row] + static_cast<double>(x));
    count[row] += 1;
  }
};

// The largest observation but NaN, by the order of scores; NaN until there is one.
struct MaxColumn {
  static constexpr const char* kKind = "max";

  float* value;

  template <class From>
  void borrow(const From& from) {
    from.part("value", value);
  }

  DYNSAMPLE_HOST_DEVICE void update(std::size_t row, float x) const {
    const std::uint32_t key = order_key(float_bits(x)), old = order_key(float_bits(value[row]));
    if (key != kNanKey && (old == kNanKey || key > old)) {
      value[row] = float_of_bits(order_bits(key));
    }
  }
};

// A ring of the last `size` observations; observation t is at t % size.
struct WindowColumn {
  static constexpr const char* kKind = "window";

  float* values;
  std::uint32_t* count;
  std::uint32_t size;

  template <class From>
  void borrow(const From& from, std::uint32_t least_size = 1) {
    from.size(size, least_size);
    from.part("values", values, size);
    from.part("count", count);
  }

  DYNSAMPLE_HOST_DEVICE void update(std::size_t row, float x) const {
    values[row * size + count[row] % size] = x;
    count[row] += 1;
  }
};

// A ring as above, and a sum over the full windows that it went through.
struct SumOfWindows : WindowColumn {
  double* sum;

  template <class From>
  void borrow(const From& from) {
    WindowColumn::borrow(from, 2);
    from.part("sum", sum);
  }

  DYNSAMPLE_HOST_DEVICE const float* window(std::size_t row) const { return values + row * size; }
  DYNSAMPLE_HOST_DEVICE bool is_full(std::size_t row) const { return count[row] >= size; }
  DYNSAMPLE_HOST_DEVICE void add(std::size_t row, double of_window) const {
    sum[row] = one_nan(sum[row] + of_window);
  }
};

// The uncertainties of all full windows but the present one.
struct UncertaintyColumn : SumOfWindows {
  static constexpr const char* kKind = "uncertainty";

  DYNSAMPLE_HOST_DEVICE void update(std::size_t row, float x) const {
    if (is_full(row)) add(row, uncertainty(window(row), size));
    WindowColumn::update(row, x);
  }
};

// The DUAL scores of all full windows, also the present one.
struct DualColumn : SumOfWindows {
  static constexpr const char* kKind = "dual";

  DYNSAMPLE_HOST_DEVICE void update(std::size_t row, float x) const {
    WindowColumn::update(row, x);
    if (is_full(row)) add(row, dual(window(row), size));
  }
};

// The last `size` observations, the latest first; NaN until there are as many.
struct LagsColumn {
  static constexpr const char* kKind = "lags";

  float* values;
  std::uint32_t size;

  template <class From>
  void borrow(const From& from) {
    from.size(size, 1);
    from.part("values", values, size);
  }

  DYNSAMPLE_HOST_DEVICE void update(std::size_t row, float x) const {
    float* const lags = values + row * size;
    for (std::uint32_t back = size - 1; back > 0; --back) lags[back] = lags[back - 1];
    lags[0] = x;
  }
};

// Forgetting: transitions from correct (x > 0) to wrong.
struct TransitionsColumn {
  static constexpr const char* kKind = "transitions";

  std::uint32_t* transitions;
  std::uint32_t* presentations;
  std::uint8_t* previous;
  std::uint8_t* ever_correct;

  template <class From>
  void borrow(const From& from) {
    from.part("transitions", transitions);
    from.part("presentations", presentations);
    from.part("previous", previous);
    from.part("ever_correct", ever_correct);
  }

  DYNSAMPLE_HOST_DEVICE void update(std::size_t row, float x) const {
    const std::uint8_t correct = x > 0;
    transitions[row] += previous[row] & (correct ^ 1);
    previous[row] = correct;
    ever_correct[row] |= correct;
    presentations[row] += 1;
  }
};

// Runs: the last outcome, correct (x > 0) or wrong, and how many observations in a row had it.
struct RunLengthColumn {
  static constexpr const char* kKind = "run_length";

  std::uint32_t* length;
  std::uint8_t* outcome;

  template <class From>
  void borrow(const From& from) {
    from.part("length", length);
    from.part("outcome", outcome);
  }

  DYNSAMPLE_HOST_DEVICE void update(std::size_t row, float x) const {
    const std::uint8_t correct = x > 0;
    length[row] = outcome[row] == correct ? length[row] + 1 : 1;
    outcome[row] = correct;
  }
};

using ColumnRule =
    std::variant<LastColumn, EmaColumn, MeanColumn, MaxColumn, LagsColumn, WindowColumn,
                 UncertaintyColumn, DualColumn, TransitionsColumn, RunLengthColumn>;

struct Column {
  std::size_t signal;  // which signal of the log it observes
  ColumnRule rule;
};

}  // namespace dynsample
