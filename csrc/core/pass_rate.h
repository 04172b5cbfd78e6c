// What a prompt can teach, by the share of its rollouts that pass.
#pragma once

#include <cstddef>
#include <span>

#include "core/isa/draw.h"

namespace dynsample {

// out[i] = how probable a draw of row i is, up to a common factor; see PassRateCurve.
PassRateCounts informative(std::span<const float> rates, const PassRateCurve& curve,
                           std::span<float> out);

}  // namespace dynsample
