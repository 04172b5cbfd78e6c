// What our calls leave behind, on the runtime of stand_in_runtime.cpp.
#include <cstdio>
#include <set>
#include <stdexcept>

#include "cuda/device.h"
#include "cuda/launch.h"

extern int current;
extern std::set<int> contexts;
extern cudaError_t last_error;

namespace {

int wrong = 0;

void expect(bool right, const char* what) {
  if (right) return;
  std::printf("wrong: %s\n", what);
  ++wrong;
}

}  // namespace

int main() {
  using namespace dynsample::cuda;
  char byte = 0;

  fill_bytes(&byte, 0, 1, {1, nullptr});
  expect(!contexts.count(0), "a device that was not in use got a context");
  cudaSetDevice(0);
  fill_bytes(&byte, 0, 1, {1, nullptr});
  expect(current == 0, "the current device is another after a call");

  for (const Stream stream : {Stream{0, nullptr}, Stream{1, nullptr}, Stream{2, nullptr}}) {
    bool refused = false;
    try {
      fill_bytes(nullptr, 0, 1, stream);
    } catch (const std::runtime_error&) {
      refused = true;
    }
    expect(refused, "a call that failed is no error");
    expect(last_error == cudaSuccess, "the error of a call is left for the next launch");
    expect(current == 0, "the current device is another after an error");
  }

  expect(device_count() == 0 && driver_version() == 0, "there is no device");
  expect(runtime_version() == CUDART_VERSION, "the version of the runtime");
  expect(last_error == cudaSuccess, "the question for devices leaves an error");
  if (!wrong) std::printf("nothing is left behind\n");
  return wrong;
}
