#!/usr/bin/env bash
# All that needs a GPU, from a checkout on a machine with torch; nothing is downloaded. Parts run one
# after the other, each with a limit, and what they print goes to FOLDER as well. Two calls:
#
#   bash bench/gpu_all.sh FOLDER first     240 s: whether the kernels are right
#   bash bench/gpu_all.sh FOLDER second    400 s: what the sanitizers say of races, and speed
#
# or parts by their names, or all of them: `bash bench/gpu_all.sh --help` has them. The native modules
# are those of `make gpu-bundle`, or else are built here first, with nvcc, cmake, ninja and pybind11,
# which takes minutes. Fails when a part fails. `--device host` tries the parts where there is no GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
case " $* " in
*" --device host "* | *" --help "* | *" -h "*) ;;
*)
  if ! bash bench/gpu_bundle.sh use; then
    echo "gpu_all.sh: the native modules are built here"
    DYNSAMPLE_CUDA=ON DYNSAMPLE_CUDA_ARCHS=${DYNSAMPLE_CUDA_ARCHS:-native} \
      python3 setup.py -q build_ext --inplace
  fi
  ;;
esac
exec python3 bench/gpu_all.py "$@"
