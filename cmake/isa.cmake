# The kernels of csrc/core/isa are compiled once per instruction set, each copy in its own
# namespace and translation unit, so that no AVX code can leak into what runs on an older CPU.

function(dynsample_add_isa_kernels target)
  file(GLOB kernel_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/csrc/core/isa/*.cpp)
  set(flags_plain "")
  set(names plain)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    list(APPEND names v2 v3 v4)
    set(flags_v2 -march=x86-64-v2)
    set(flags_v3 -march=x86-64-v3)
    set(flags_v4 -march=x86-64-v4 -mprefer-vector-width=512)
    target_compile_definitions(${target} PRIVATE DYNSAMPLE_X86_64)
  endif()
  foreach(name IN LISTS names)
    add_library(dynsample_isa_${name} OBJECT ${kernel_sources})
    target_include_directories(dynsample_isa_${name} PRIVATE ${CMAKE_SOURCE_DIR}/csrc)
    target_compile_definitions(dynsample_isa_${name} PRIVATE DYNSAMPLE_ISA_NAME=${name})
    # Nobody traps: both sides of a choice may be worked out. It changes no bit of a result.
    target_compile_options(dynsample_isa_${name} PRIVATE -O3 -fno-math-errno -fno-trapping-math
                                                         ${flags_${name}})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:dynsample_isa_${name}>)
  endforeach()
endfunction()
