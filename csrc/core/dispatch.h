// Choice of the instruction set, once per process.
#pragma once

#include <string>
#include <vector>

#include "core/isa/isa.h"

namespace dynsample {

// The kernels of the best instruction set of this processor, or of the one that the environment
// variable DYNSAMPLE_ISA names. Throws std::runtime_error when that one is unknown or not there.
const Kernels& kernels();

// Name of the set in use: plain, v2, v3 or v4 (x86-64 levels).
const std::string& isa_name();

// Names that run on this processor, worst first.
std::vector<std::string> available_isas();

}  // namespace dynsample
