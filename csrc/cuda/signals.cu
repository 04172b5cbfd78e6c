#include <cmath>
#include <stdexcept>

#include "core/bits.h"
#include "cuda/launch.h"
#include "cuda/signals.h"

namespace dynsample::cuda {
namespace {

// The higher one, and NaN before all else.
DYNSAMPLE_DEVICE inline float higher(float a, float b) { return a > b || a != a ? a : b; }

DYNSAMPLE_DEVICE inline std::uint32_t bits_of(float value) { return float_bits(value); }
DYNSAMPLE_DEVICE inline std::uint32_t bits_of(Half value) { return value.bits; }
DYNSAMPLE_DEVICE inline std::uint32_t bits_of(BFloat value) { return value.bits; }

// Logits that a thread holds as they are in memory, a few loads at a time: those of a group's
// threads lie beside each other. What is beyond the classes is 0.
template <class Logit, unsigned group>
struct HeldLogits {
  static constexpr unsigned kLoads = 4, kPerLoad = sizeof(Four) / sizeof(Logit);
  static constexpr unsigned kCount = kLoads * kPerLoad, kBits = 8 * sizeof(Logit);
  static constexpr std::uint32_t kRound = group * kCount;  // classes that a group holds at a time
  Four fours[kLoads];

  // The class of logit j, from the first of the round on.
  DYNSAMPLE_DEVICE static std::uint32_t at(unsigned member, unsigned j) {
    return (j / kPerLoad * group + member) * kPerLoad + j % kPerLoad;
  }

  // Of `count` classes from z on.
  DYNSAMPLE_DEVICE void load(const Logit* z, unsigned member, std::uint32_t count) {
    const bool aligned = reinterpret_cast<std::uintptr_t>(z) % sizeof(Four) == 0;
    DYNSAMPLE_UNROLL
    for (unsigned q = 0; q < kLoads; ++q) {
      const std::uint32_t first = at(member, q * kPerLoad);
      if (aligned && first + kPerLoad <= count) {
        fours[q] = *reinterpret_cast<const Four*>(z + first);
      } else {
        load_singly(fours[q], z, first, count);
      }
    }
  }

  DYNSAMPLE_DEVICE float value(unsigned j) const {
    const unsigned e = j % kPerLoad;
    const std::uint32_t word = fours[j / kPerLoad].word[e * kBits / 32];
    return number(word >> e * kBits % 32, Logit{});
  }

 private:
  DYNSAMPLE_DEVICE static void load_singly(Four& four, const Logit* z, std::uint32_t first,
                                           std::uint32_t count) {
    DYNSAMPLE_UNROLL
    for (unsigned w = 0; w < 4; ++w) four.word[w] = 0;
    DYNSAMPLE_UNROLL
    for (unsigned e = 0; e < kPerLoad; ++e) {
      const std::uint32_t bits = first + e < count ? bits_of(z[first + e]) : 0;
      four.word[e * kBits / 32] |= bits << e * kBits % 32;
    }
  }

  DYNSAMPLE_DEVICE static float number(std::uint32_t bits, float) { return float_of_bits(bits); }
  DYNSAMPLE_DEVICE static float number(std::uint32_t bits, Half) {
    return to_float(Half{static_cast<std::uint16_t>(bits)});
  }
  DYNSAMPLE_DEVICE static float number(std::uint32_t bits, BFloat) {
    return to_float(BFloat{static_cast<std::uint16_t>(bits)});
  }
};

// A group of threads goes twice over a row: for its highest logits, and for sums of exponentials of
// what is left when the highest is taken away; the first round of logits is read once. Sums are in
// a fixed order: by thread, then by a tree.
template <class Logit, unsigned group>
struct FromLogits {
  static constexpr int kThreads = 256;
  static constexpr unsigned kRows = kThreads / group;
  using Held = HeldLogits<Logit, group>;
  struct Shared {
    float highest[kThreads], other[kThreads];  // of all classes, of those that are not the target
    std::uint32_t predicted[kThreads];         // the first class that has the highest
    float sum[kThreads], squares[kThreads];    // of the exponentials of the other classes
  };
  const LogHeader* header;
  Output output;
  Wanted wanted;

  DYNSAMPLE_DEVICE const Logit* logits(std::size_t row) const {
    return static_cast<const Logit*>(output.logits) +
           static_cast<std::int64_t>(row) * output.row_stride;
  }

  DYNSAMPLE_DEVICE bool valid(std::int64_t target) const {
    return target >= 0 && target < static_cast<std::int64_t>(output.classes);
  }

  // Targets that are no class are taken for class 0 until the end.
  DYNSAMPLE_DEVICE std::uint32_t target(std::size_t row) const {
    const std::int64_t target = output.targets.integer(row);
    return valid(target) ? static_cast<std::uint32_t>(target) : 0;
  }

  // Calls body(c, logit) for the classes of a thread, ascending; `held` is of the first round, or
  // becomes it.
  template <class Body>
  DYNSAMPLE_DEVICE void visit(Held& held, bool load, unsigned thread, std::size_t row,
                              const Body& body) const {
    const Logit* const z = logits(row);
    const std::uint32_t classes = static_cast<std::uint32_t>(output.classes);
    const unsigned member = thread % group;
    const auto visit_round = [&](const Held& round, std::uint32_t first) {
      DYNSAMPLE_UNROLL
      for (unsigned j = 0; j < Held::kCount; ++j) {
        const std::uint32_t c = first + Held::at(member, j);
        if (c < classes) body(c, round.value(j));
      }
    };
    if (load) held.load(z, member, classes);
    visit_round(held, 0);
    for (std::uint32_t first = Held::kRound; first < classes; first += Held::kRound) {
      Held more;
      more.load(z + first, member, classes - first);
      visit_round(more, first);
    }
  }

  DYNSAMPLE_DEVICE void find_highest(Shared& shared, Held& held, unsigned thread,
                                     std::size_t row) const {
    const std::uint32_t at = target(row), classes = static_cast<std::uint32_t>(output.classes);
    float highest = -INFINITY, other = highest;
    std::uint32_t predicted = classes;
    visit(held, true, thread, row, [&](std::uint32_t c, float value) {
      if (value > highest || predicted == classes) predicted = c;
      highest = higher(highest, value);
      if (c != at) other = higher(other, value);
    });
    shared.highest[thread] = highest;
    shared.other[thread] = other;
    shared.predicted[thread] = predicted;
  }

  DYNSAMPLE_DEVICE static void join_highest(Shared& shared, unsigned thread, unsigned with) {
    const float a = shared.highest[thread], b = shared.highest[with];
    const std::uint32_t first = shared.predicted[thread], second = shared.predicted[with];
    if (b > a || (a == b && second < first)) shared.predicted[thread] = second;
    shared.highest[thread] = higher(a, b);
    shared.other[thread] = higher(shared.other[thread], shared.other[with]);
  }

  DYNSAMPLE_DEVICE void sum_exponentials(Shared& shared, Held& held, unsigned thread,
                                         std::size_t row) const {
    const std::uint32_t at = target(row);
    const float highest = shared.highest[thread / group * group];
    float sum = 0, squares = 0;
    visit(held, false, thread, row, [&](std::uint32_t c, float value) {
      if (c == at) return;
      const float e = std::exp(value - highest);
      sum += e;
      squares += e * e;
    });
    shared.sum[thread] = sum;
    shared.squares[thread] = squares;
  }

  DYNSAMPLE_DEVICE static void join_sums(Shared& shared, unsigned thread, unsigned with) {
    shared.sum[thread] += shared.sum[with];
    shared.squares[thread] += shared.squares[with];
  }

  // `first`: the first thread of the row's group.
  DYNSAMPLE_DEVICE void write(const Shared& shared, unsigned first, std::size_t row) const {
    const LogHeader log = *header;
    const std::int64_t place = log.observed + static_cast<std::int64_t>(row);
    if (place >= log.capacity) return;
    const bool known = valid(output.targets.integer(row));
    const auto put = [&](std::int32_t signal, float value) {
      if (signal < 0) return;
      log.values[signal * log.capacity + place] = known ? value : NAN;
    };
    const std::uint32_t at = target(row);
    const float z = to_float(logits(row)[at]), highest = shared.highest[first];
    const float shifted = z - highest, e = std::exp(shifted), others = shared.sum[first];
    const float total = others + e, p = e / total, error = p - 1;
    put(wanted.loss, std::log(total) - shifted);
    // A NaN in the row is the highest, and then nothing was predicted.
    put(wanted.correct, shared.predicted[first] == at && highest == highest ? 1.0f : 0.0f);
    put(wanted.max_confidence, 1 / total);  // the highest has exp(0)
    put(wanted.target_confidence, p);
    put(wanted.probability, p);
    put(wanted.margin, z - shared.other[first]);
    put(wanted.el2n, std::sqrt(shared.squares[first] / (total * total) + error * error));
    put(wanted.l1, others / total + std::fabs(error));
    put(wanted.max_margin, std::exp(shared.other[first] - highest) / total - p);
    put(wanted.sum_margin, others / total - static_cast<float>(output.classes - 1) * p);
  }

  template <class Block>
  DYNSAMPLE_DEVICE void operator()(Block& block) const {
    const std::size_t step = std::size_t{block.count()} * kRows;
    for (std::size_t base = std::size_t{block.index()} * kRows; base < output.count; base += step) {
      const auto each_of_row = [&](unsigned members, const auto& body) {
        block.each([&](unsigned thread) {
          const std::size_t row = base + thread / group;
          if (thread % group < members && row < output.count) body(thread, row);
        });
      };
      Shared& shared = block.shared;
      typename Block::template PerThread<Held> held;
      each_of_row(group,
                  [&](unsigned t, std::size_t row) { find_highest(shared, held[t], t, row); });
      for (unsigned n = group / 2; n; n /= 2) {
        each_of_row(n, [&](unsigned t, std::size_t) { join_highest(shared, t, t + n); });
      }
      each_of_row(group,
                  [&](unsigned t, std::size_t row) { sum_exponentials(shared, held[t], t, row); });
      for (unsigned n = group / 2; n; n /= 2) {
        each_of_row(n, [&](unsigned t, std::size_t) { join_sums(shared, t, t + n); });
      }
      each_of_row(1, [&](unsigned t, std::size_t row) { write(shared, t, row); });
    }
  }
};

template <class Logit, unsigned group>
void run_rows(const LogHeader* log, const Output& output, const Wanted& wanted, Stream stream) {
  using Kernel = FromLogits<Logit, group>;
  launch("signals", Kernel{log, output, wanted}, blocks_for(output.count, Kernel::kRows, stream),
         stream);
}

template <class Logit>
void run_type(const LogHeader* log, const Output& output, const Wanted& wanted, Stream stream) {
  if (output.classes <= 128) {
    run_rows<Logit, 32>(log, output, wanted, stream);
  } else {
    run_rows<Logit, 256>(log, output, wanted, stream);
  }
}

template <class Logit>
void load_type(Stream stream) {
  load<FromLogits<Logit, 32>>(stream);
  load<FromLogits<Logit, 256>>(stream);
}

}  // namespace

void load_signals(Stream stream) {
  load_type<float>(stream);
  load_type<Half>(stream);
  load_type<BFloat>(stream);
}

void append_signals(const LogHeader* log, const Output& output, const Wanted& wanted,
                    Stream stream) {
  if (!output.count) return;
  if (output.classes >= 1u << 31) throw std::invalid_argument("logits have too many classes");
  switch (output.type) {
    case Type::kFloat32:
      return run_type<float>(log, output, wanted, stream);
    case Type::kFloat16:
      return run_type<Half>(log, output, wanted, stream);
    case Type::kBFloat16:
      return run_type<BFloat>(log, output, wanted, stream);
    default:
      throw std::invalid_argument("logits must be float32, float16 or bfloat16");
  }
}

}  // namespace dynsample::cuda
