# Whether there is an nvcc that builds the CUDA module, and for which GPUs. It is asked in a project
# of its own: what fails when a language is enabled ends the configuration, and with it _core.

# Those that are built for, as far as nvcc knows them.
set(DYNSAMPLE_GPUS 75 80 86 89 90 100 120)

# Sets `nvcc` to the compiler that CMake takes, or to "".
function(dynsample_find_nvcc)
  if(CMAKE_CUDA_COMPILER)
    set(nvcc ${CMAKE_CUDA_COMPILER})
  elseif(NOT "$ENV{CUDACXX}" STREQUAL "")
    separate_arguments(words UNIX_COMMAND "$ENV{CUDACXX}")
    list(GET words 0 nvcc)
  else()
    find_program(nvcc nvcc PATHS "$ENV{CUDA_PATH}/bin" NO_CACHE NO_CMAKE_SYSTEM_PATH)
    if(NOT nvcc)
      set(nvcc "")
    endif()
  endif()
  set(nvcc "${nvcc}" PARENT_SCOPE)
endfunction()

# Sets `why_not` to the first line of `output` that says what is wrong, or to its last.
function(dynsample_first_error output)
  string(REGEX REPLACE "[ \t]*[\r\n]+[ \t]*" "\n" output "${output}")
  string(STRIP "${output}" output)
  foreach(pattern "nvcc (fatal|error)" "[Ee]rror ?:" "#error" "No such file" "could not" "not able"
                  "[^\n]*$")
    if(output MATCHES "(^|\n)([^\n]*${pattern}[^\n]*)")
      set(why_not "${CMAKE_MATCH_2}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# Sets `gpus` to those of DYNSAMPLE_GPUS that nvcc knows, for CMAKE_CUDA_ARCHITECTURES: the newest
# also as PTX, which newer GPUs compile when they first run it. Sets `why_not` where it knows none.
function(dynsample_known_gpus)
  execute_process(COMMAND ${nvcc} --list-gpu-arch RESULT_VARIABLE status OUTPUT_VARIABLE output
                  ERROR_VARIABLE error)
  string(REGEX MATCHALL "compute_[0-9]+" known "${output}")
  if(NOT status EQUAL 0 OR NOT known)
    dynsample_first_error("${status}\n${output}\n${error}")
    set(why_not "${nvcc} --list-gpu-arch fails: ${why_not}" PARENT_SCOPE)
    return()
  endif()
  set(gpus ${DYNSAMPLE_GPUS})
  set(unknown ${DYNSAMPLE_GPUS})
  list(TRANSFORM known REPLACE "compute_" "")
  list(REMOVE_ITEM unknown ${known})
  if(unknown)
    list(REMOVE_ITEM gpus ${unknown})
  endif()
  if(NOT gpus)
    list(JOIN DYNSAMPLE_GPUS ", " wanted)
    set(why_not "${nvcc} knows none of the GPUs ${wanted}" PARENT_SCOPE)
    return()
  endif()
  list(POP_BACK gpus newest)
  if(unknown)
    list(TRANSFORM unknown PREPEND "sm_")
    list(JOIN unknown ", " unknown)
    message(STATUS "dynsample: left out as ${nvcc} does not know it: ${unknown}; "
                   "PTX of compute_${newest} is there for newer GPUs")
  endif()
  list(TRANSFORM gpus APPEND "-real")
  set(gpus ${gpus} ${newest} PARENT_SCOPE)
endfunction()

# Sets `why_not` when cuda_probe cannot be built as the CUDA module would be.
function(dynsample_probe_nvcc)
  if("${nvcc};${CMAKE_CUDA_ARCHITECTURES}" STREQUAL "${DYNSAMPLE_PROBED}")
    return()
  endif()
  set(tree ${CMAKE_BINARY_DIR}/cuda_probe)
  set(options "")
  foreach(name CMAKE_TOOLCHAIN_FILE CMAKE_MAKE_PROGRAM CMAKE_CUDA_COMPILER CMAKE_CUDA_HOST_COMPILER
               CMAKE_CUDA_FLAGS CMAKE_CUDA_ARCHITECTURES)
    if(DEFINED ${name})
      string(REPLACE ";" "\\;" value "${${name}}")
      list(APPEND options "-D${name}=${value}")
    endif()
  endforeach()
  file(REMOVE_RECURSE ${tree})
  execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${PROJECT_SOURCE_DIR}/cmake/cuda_probe -B ${tree}
            -G ${CMAKE_GENERATOR} ${options}
    RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(status EQUAL 0)
    execute_process(COMMAND ${CMAKE_COMMAND} --build ${tree}
                    RESULT_VARIABLE status OUTPUT_VARIABLE built ERROR_VARIABLE built)
    set(output "${built}")
  endif()
  if(status EQUAL 0)
    set(DYNSAMPLE_PROBED "${nvcc};${CMAKE_CUDA_ARCHITECTURES}" CACHE INTERNAL
        "What cuda_probe was built with")
    return()
  endif()
  file(WRITE ${tree}/output.txt "${output}")
  dynsample_first_error("${output}")
  set(why_not "${nvcc} does not build cmake/cuda_probe: ${why_not} (all of it in ${tree}/output.txt)"
      PARENT_SCOPE)
endfunction()
