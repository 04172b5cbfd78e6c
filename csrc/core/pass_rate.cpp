#include "core/pass_rate.h"

#include <vector>

#include "core/chunks.h"
#include "core/dispatch.h"

namespace dynsample {

PassRateCounts informative(std::span<const float> rates, const PassRateCurve& curve,
                           std::span<float> out) {
  const Chunks chunks(rates.size(), Chunks::kMadeRows);
  std::vector<PassRateCounts> parts(chunks.count());
  chunks.run([&](std::size_t chunk, std::size_t first, std::size_t last) {
    parts[chunk] =
        kernels().draw.informative(rates.data() + first, last - first, curve, out.data() + first);
  });
  PassRateCounts all = {0, 0, 0};
  for (const PassRateCounts& part : parts) {
    all.outside += part.outside;
    all.retired += part.retired;
    all.positive += part.positive;
  }
  return all;
}

}  // namespace dynsample
