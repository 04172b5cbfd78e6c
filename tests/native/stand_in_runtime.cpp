// A runtime in place of CUDA's, for cuda_state.cu: two devices, of which the current one has a
// context, and the last error, which stays until somebody asks for it.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <set>

int current = 0;
std::set<int> contexts;
cudaError_t last_error = cudaSuccess;

namespace {

cudaError_t fail(cudaError_t error) { return last_error = error; }

CUresult context_state(CUdevice device, unsigned* flags, int* active) {
  *flags = 0;
  *active = static_cast<int>(contexts.count(device));
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}
const char* cudaGetErrorString(cudaError_t) { return "an error"; }
cudaError_t cudaGetDevice(int* device) {
  *device = current;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device > 1) return fail(cudaErrorInvalidDevice);
  contexts.insert(current = device);
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int*) { return fail(cudaErrorNoDevice); }
cudaError_t cudaDriverGetVersion(int*) { return fail(cudaErrorInitializationError); }
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int, std::size_t, cudaStream_t) {
  return to ? cudaSuccess : fail(cudaErrorInvalidValue);
}
#if CUDART_VERSION >= 12050
cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** found, unsigned,
                                             unsigned long long, cudaDriverEntryPointQueryResult*) {
#else
cudaError_t cudaGetDriverEntryPoint(const char*, void** found, unsigned long long
#if CUDART_VERSION >= 12000
                                    ,
                                    cudaDriverEntryPointQueryResult*
#endif
) {
#endif
  *found = reinterpret_cast<void*>(context_state);
  return cudaSuccess;
}

// What nvcc calls for every file.
void** __cudaRegisterFatBinary(void*) { return nullptr; }
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 0; }

}  // extern "C"
