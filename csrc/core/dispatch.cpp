#include "core/dispatch.h"

#include <cstdlib>
#include <stdexcept>

namespace dynsample {
namespace {

struct Isa {
  std::string name;
  bool runs_here;
  Kernels kernels;
};

#define DYNSAMPLE_KERNELS(isa)                                                        \
  {isa::draw_kernels, isa::permute_kernels, isa::random_kernels, isa::select_kernels, \
   isa::mask_kernels, isa::sum_kernels,     isa::tree_kernels,   isa::uncertainty_kernels}

const std::vector<Isa>& isas() {
  static const std::vector<Isa> all = [] {
    std::vector<Isa> list = {{"plain", true, DYNSAMPLE_KERNELS(plain)}};
#ifdef DYNSAMPLE_X86_64
    __builtin_cpu_init();
    const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    list.push_back({"v2", v2, DYNSAMPLE_KERNELS(v2)});
    list.push_back({"v3", v3, DYNSAMPLE_KERNELS(v3)});
    list.push_back({"v4", v4, DYNSAMPLE_KERNELS(v4)});
#endif
    return list;
  }();
  return all;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

const Isa& choose() {
  const char* wanted = std::getenv("DYNSAMPLE_ISA");
  const Isa* best = nullptr;
  for (const Isa& isa : isas()) {
    if (isa.runs_here && (!wanted || !*wanted || isa.name == wanted)) best = &isa;
  }
  if (!best) {
    throw std::runtime_error("DYNSAMPLE_ISA must be one of " + join(available_isas()) +
                             " on this processor, got '" + wanted + "'");
  }
  return *best;
}

const Isa& chosen() {
  static const Isa& isa = choose();
  return isa;
}

}  // namespace

const Kernels& kernels() { return chosen().kernels; }
const std::string& isa_name() { return chosen().name; }

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : isas()) {
    if (isa.runs_here) names.push_back(isa.name);
  }
  return names;
}

}  // namespace dynsample
