#include "core/random.h"

#include "core/isa/isa.h"

namespace dynsample::DYNSAMPLE_ISA_NAME {
namespace {

void fill(std::uint64_t seed, std::uint64_t first, std::uint32_t epoch, std::uint32_t stream,
          std::size_t blocks, std::uint32_t* out) {
  for (std::size_t j = 0; j < blocks; ++j) {
    const Philox4 word = philox(seed, first + j, epoch, stream);
    for (int lane = 0; lane < 4; ++lane) out[4 * j + lane] = word.lane[lane];
  }
}

}  // namespace

extern const RandomKernels random_kernels;
const RandomKernels random_kernels = {fill};

}  // namespace dynsample::DYNSAMPLE_ISA_NAME
