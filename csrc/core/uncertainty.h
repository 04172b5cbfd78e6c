// Dynamic uncertainty: the spread of a sample's recent probabilities, and its mean over epochs.
//
// He et al., "Large-scale Dataset Pruning with Dynamic Uncertainty", 2023, equations 2 and 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace dynsample {

// One epoch of recorded probabilities, as text files have them: 0 is a sample that was not seen.
//
// A probability goes into its row's ring: observation t of row i is at window[(t % size) * n + i],
// by slots, so that rows are added up side by side. With `add` the uncertainty of every row is
// added to `sum`, also of a row that was not seen in this epoch, and zeros stand for what a window
// does not hold yet; the same bits as core/window.h gives. The result does not depend on the
// threads. Throws std::invalid_argument when sizes do not fit, or a window is shorter than 2.
template <class T>
void add_epoch(std::span<const double> probabilities, std::span<T> window,
               std::span<std::uint32_t> count, std::span<double> sum, bool add);

// Whether each of these is a float, or NaN.
bool fit_floats(std::span<const double> values);

}  // namespace dynsample
