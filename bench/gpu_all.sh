#!/usr/bin/env bash
# All that needs a GPU, from a checkout on a machine with CUDA, torch and the build's tools; nothing
# is downloaded. Builds in place for the present GPU, then tests, sanitizers and benches, each with
# a limit and all within nine minutes; writes cuda-<gpu>.txt and .json. Fails when a part fails.
#
#   bash bench/gpu_all.sh [FOLDER]     default: bench/results
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
readonly DEADLINE=530 # seconds
SECONDS=0
folder=${1:-bench/results}

stop() {
  echo "gpu_all.sh: $*" >&2
  exit 1
}

has() { python3 -c "import $1" 2> /dev/null; }

for tool in python3 nvcc cmake ninja; do
  command -v "$tool" > /dev/null || stop "$tool must be on the PATH"
done
for module in torch numpy pybind11 setuptools; do
  has "$module" || stop "python3 lacks $module"
done
arch=$(python3 -c 'import torch; print("%d%d" % torch.cuda.get_device_capability())' 2> /dev/null) ||
  stop "no GPU: torch $(python3 -c 'import torch; print(torch.__version__)') finds none"

name=$(python3 -c 'import torch; print(torch.cuda.get_device_name().replace(" ", "-"))')
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2> /dev/null | head -n 1)
commit=$(git rev-parse HEAD 2> /dev/null) || commit=unknown
if [ "$commit" = unknown ]; then
  tree=unknown
elif [ -z "$(git status --porcelain 2> /dev/null)" ]; then
  tree=clean
else
  tree=dirty
fi
mkdir -p "$folder" || stop "cannot write into $folder"
base="$folder/cuda-$name"
parts=$(mktemp -d) || exit 1
trap 'rm -rf "$parts"' EXIT

summary=()
failed=0

note() { # NAME TEXT
  summary+=("$(printf '%-12s %s' "$1" "$2")")
}

part() { # NAME LIMIT COMMAND...
  local name=$1 limit=$2 left=$((DEADLINE - SECONDS)) start=$SECONDS status
  shift 2
  ((left < limit)) && limit=$left
  if ((limit < 5)); then
    note "$name" "FAILED: no time was left for it"
    failed=1
    return
  fi
  printf '\n== %s: %s\n' "$name" "$*"
  timeout --kill-after=10 "$limit" "$@" 2>&1
  status=$?
  if ((status == 0)); then
    note "$name" "ok, $((SECONDS - start)) s"
    return
  fi
  failed=1
  if ((status == 124 || status == 137)); then
    note "$name" "FAILED: over its $limit s"
  else
    note "$name" "FAILED with status $status, $((SECONDS - start)) s"
  fi
}

tests() {
  local missing=() options=()
  has pytest || missing+=(pytest)
  has hypothesis || missing+=(hypothesis)
  if ((${#missing[@]})); then
    note tests "left out: python3 lacks ${missing[*]}"
    return
  fi
  # The limit of a test is a setting of pytest-timeout, and unknown without it.
  has pytest_timeout || options=(-o addopts= -W ignore::pytest.PytestConfigWarning)
  HYPOTHESIS_PROFILE=quick part tests 120 python3 -m pytest -q "${options[@]}" tests/cuda
}

sanitizers() {
  local tool more
  if ! command -v compute-sanitizer > /dev/null; then
    note sanitizers "left out: compute-sanitizer is not on the PATH"
    part kernels 60 python3 bench/sanitize_cuda.py
    return
  fi
  for tool in memcheck racecheck initcheck; do
    more=()
    [ "$tool" = racecheck ] && more=(--kernel-name kernel_substring=dynsample)
    PYTORCH_NO_CUDA_MEMORY_CACHING=1 part "$tool" 75 compute-sanitizer --tool "$tool" \
      "${more[@]}" --error-exitcode 9 --print-limit 10 python3 bench/sanitize_cuda.py
  done
}

everything() {
  printf '%s\n' "$(date -u +%Y-%m-%d) $name, sm_$arch, driver ${driver:-unknown}" \
    "commit $commit, tree $tree" "$(nvcc --version | tail -n 2 | head -n 1)" \
    "python $(python3 -c 'import sys, torch; print(sys.version.split()[0], "torch", torch.__version__)')"
  DYNSAMPLE_CUDA=ON DYNSAMPLE_CUDA_ARCHS="$arch-real" \
    part build 180 python3 setup.py -q build_ext --inplace
  tests
  part cuda 180 python3 bench/bench_cuda.py --json "$parts/cuda"
  sanitizers
  part step 180 python3 bench/bench_step.py --json "$parts/step"
  printf '\n== summary, %s s\n' "$SECONDS"
  printf '%s\n' "${summary[@]}"
  return $failed
}

everything > >(tee "$base.txt") 2>&1
status=$?
wait $! # for what is written last
{
  printf '{"date": "%s", "device": "%s", "driver": "%s", "commit": "%s", "tree": "%s"}\n' \
    "$(date -u +%Y-%m-%d)" "$name" "${driver:-unknown}" "$commit" "$tree"
  cat "$parts/cuda" "$parts/step" 2> /dev/null
} > "$base.json"
echo "written: $base.txt, $base.json"
exit $status
