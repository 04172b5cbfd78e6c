// What CUDA devices this process can use.
#pragma once

namespace dynsample::cuda {

// Number of usable devices; 0 where there is no driver, an older driver than the runtime built in,
// or no device.
int device_count();

// The newest CUDA version that the installed driver serves (1000 * major + 10 * minor), 0 without a
// driver; and the version of the runtime that is built in.
int driver_version();
int runtime_version();

}  // namespace dynsample::cuda
