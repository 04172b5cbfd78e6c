#include <cuda_runtime_api.h>

#include "cuda/device.h"

namespace dynsample::cuda {

// 0 when the call fails, which leaves no error for the next launch to find.
static int number(cudaError_t (*call)(int*)) {
  int found = 0;
  if (call(&found) == cudaSuccess) return found;
  cudaGetLastError();
  return 0;
}

int device_count() { return number(cudaGetDeviceCount); }
int driver_version() { return number(cudaDriverGetVersion); }
int runtime_version() { return number(cudaRuntimeGetVersion); }

}  // namespace dynsample::cuda
