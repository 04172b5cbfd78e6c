// The kernels of a build, and which of them were launched: what claims to run each of them is held
// to it.
#pragma once

#include <atomic>
#include <typeinfo>

namespace dynsample::cuda {

struct Launched {
  explicit Launched(const std::type_info& type) : kernel(type), next(first) { first = this; }

  const std::type_info& kernel;
  std::atomic<bool> yet{false};
  Launched* const next;  // of all
  inline static Launched* first = nullptr;
};

// Is there for every kernel that anything may launch, from the load of the module on.
template <class Kernel>
inline Launched launched{typeid(Kernel)};

}  // namespace dynsample::cuda
