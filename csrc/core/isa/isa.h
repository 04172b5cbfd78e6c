// Kernel tables: one set of function pointers per instruction set, all with the same results.
//
// Every .cpp file of this folder is compiled once per instruction set, with DYNSAMPLE_ISA_NAME
// defined (cmake/isa.cmake). A kernel file uses raw pointers, its own static functions and those
// marked DYNSAMPLE_INLINE only: an inline function of the standard library could be emitted there
// with AVX code and then be picked by the linker for a processor without AVX.
#pragma once

#include "core/isa/draw.h"
#include "core/isa/mask.h"
#include "core/isa/permute.h"
#include "core/isa/random.h"
#include "core/isa/select.h"
#include "core/isa/sum.h"
#include "core/isa/tree.h"
#include "core/isa/uncertainty.h"

namespace dynsample {

struct Kernels {
  const DrawKernels& draw;
  const PermuteKernels& permute;
  const RandomKernels& random;
  const SelectKernels& select;
  const MaskKernels& mask;
  const SumKernels& sum;
  const TreeKernels& tree;
  const UncertaintyKernels& uncertainty;
};

// The table of one instruction set; defined where its names are known (core/dispatch.cpp).
#define DYNSAMPLE_DECLARE_ISA(name)                    \
  namespace name {                                     \
  extern const DrawKernels draw_kernels;               \
  extern const PermuteKernels permute_kernels;         \
  extern const RandomKernels random_kernels;           \
  extern const SelectKernels select_kernels;           \
  extern const MaskKernels mask_kernels;               \
  extern const SumKernels sum_kernels;                 \
  extern const TreeKernels tree_kernels;               \
  extern const UncertaintyKernels uncertainty_kernels; \
  }
DYNSAMPLE_DECLARE_ISA(plain)
#ifdef DYNSAMPLE_X86_64
DYNSAMPLE_DECLARE_ISA(v2)
DYNSAMPLE_DECLARE_ISA(v3)
DYNSAMPLE_DECLARE_ISA(v4)
#endif

}  // namespace dynsample
