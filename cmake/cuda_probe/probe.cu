#include <cub/version.cuh>

#include "cuda/launch.h"

struct Nothing {
  DYNSAMPLE_DEVICE void operator()(std::size_t) const {}
};

void probe() { dynsample::cuda::for_each("nothing", 1, Nothing{}, {}); }
