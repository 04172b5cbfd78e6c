#!/usr/bin/env bash
# A build of the native modules to be carried to a machine with a GPU, so that none is spent there.
#
#   gpu_bundle.sh make    into build/gpu, for sm_90 and Python 3.12, or the Python GPU_PYTHON
#   gpu_bundle.sh use     into dynsample; fails when it is of other sources or for another Python
#   gpu_bundle.sh sources prints what tells these sources from others
set -euo pipefail
cd "$(dirname "$0")/.."
readonly folder=build/gpu
readonly most=$((64 * 1024)) # KiB, of what is carried

stop() {
  echo "gpu_bundle.sh: $*" >&2
  exit 1
}

sources() { find CMakeLists.txt cmake csrc -type f | LC_ALL=C sort | xargs sha256sum | sha256sum; }

find_python() {
  if [ -n "${GPU_PYTHON:-}" ]; then
    command -v "$GPU_PYTHON" || stop "GPU_PYTHON=$GPU_PYTHON is no program"
    return
  fi
  local python
  for python in python3.12 "$HOME"/.pyenv/versions/3.12.*/bin/python; do
    if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2> /dev/null; then
      command -v "$python"
      return
    fi
  done
  stop "there is no Python 3.12 here: install one with its headers (apt-get install python3.12-dev," \
    "pyenv install 3.12, uv python install 3.12), or set GPU_PYTHON to the Python to build for"
}

make_bundle() {
  local python tree=build/gpu-tree size
  python=$(find_python)
  rm -rf "$folder"
  cmake -S . -B "$tree" -G Ninja --fresh -DDYNSAMPLE_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=90-real \
    -DPython_EXECUTABLE="$python" -Dpybind11_DIR="$(python3 -m pybind11 --cmakedir)"
  cmake --build "$tree"
  cmake --install "$tree" --strip --prefix "$folder"
  sources > "$folder/sources"
  size=$(du -sk "$folder" | cut -f1)
  ((size < most)) || stop "$folder has $size KiB, and must have less than $most"
  echo "$folder: $size KiB, for $("$python" --version) and sm_90"
}

use_bundle() {
  local modules=$folder/dynsample found
  found=$(python3 -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
  [ -e "$folder/sources" ] || stop "there is no $folder: make gpu-bundle"
  [ "$(cat "$folder/sources")" = "$(sources)" ] ||
    stop "$folder was built from other sources: make gpu-bundle"
  [ -e "$modules/_cuda$found" ] ||
    stop "$folder is for another Python: it has $(ls "$modules"), and this one loads _cuda$found"
  cp "$modules"/*"$found" dynsample
  echo "gpu_bundle.sh: the modules of $folder"
}

case "${1:-}" in
make) make_bundle ;;
use) use_bundle ;;
sources) sources ;;
*) stop "make, use or sources, got '${1:-}'" ;;
esac
