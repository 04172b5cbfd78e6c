"""Run the tests of the kernels on a build with the address and undefined-behaviour sanitizers.

Those for a GPU run in their build for the CPU. With --build it ends before the tests; what else is
given is pytest's.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pybind11

ROOT = Path(__file__).parents[1]
TREE = ROOT / "build" / "sanitize"
SITE = TREE / "site"
KERNELS = (
    "bitmap",
    "draw",
    "fold",
    "gather",
    "history",
    "log",
    "log_parts",
    "log_weights",
    "permute",
    "priority_tree",
    "random",
    "select",
    "sum",
)
STATISTICS = "equally_likely or uniform or compiled"  # slow, and no other code than the rest
DEVICE_KERNELS = (
    "bernoulli",
    "draw",
    "log",
    "log_parts",
    "order",
    "sampler",
    "select",
    "signals",
    "sum",
    "use",
)


def sanitizer_runtime() -> str:
    found = [
        subprocess.run(
            [os.environ.get("CXX", "g++"), f"-print-file-name={name}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return " ".join(found)


def build() -> None:
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([scripts, os.environ["PATH"]])
    # fmt: off
    configure = [
        "cmake", "-S", str(ROOT), "-B", str(TREE / "cmake"), "-G", "Ninja",
        "-DDYNSAMPLE_SANITIZE=ON", "-DDYNSAMPLE_CUDA=OFF", "-DDYNSAMPLE_CUDA_ON_HOST=ON",
        "-DCMAKE_BUILD_TYPE=Debug",
        "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1",
        f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
    ]
    # fmt: on
    for command in (
        configure,
        ["cmake", "--build", str(TREE / "cmake")],
        ["cmake", "--install", str(TREE / "cmake"), "--prefix", str(SITE)],
    ):
        subprocess.run(
            command, check=True, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE
        )
    shutil.copytree(
        ROOT / "dynsample",
        SITE / "dynsample",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("*.so", "__pycache__"),
    )


def main() -> int:
    build()
    if sys.argv[1:] == ["--build"]:
        return 0
    environment = {
        **os.environ,
        "PYTHONPATH": str(SITE),
        "LD_PRELOAD": sanitizer_runtime(),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter itself does not free everything
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "DYNSAMPLE_SANITIZED": str(SITE),
        "HYPOTHESIS_PROFILE": "quick",
    }
    pytest = [sys.executable, "-P", "-m", "pytest", "-q", "-k", f"not ({STATISTICS})"]
    pytest += ["-n", "auto", "--maxprocesses", "4"]
    tests = [f"tests/core/test_{name}.py" for name in KERNELS]
    tests += [f"tests/cuda/test_device_{name}.py" for name in DEVICE_KERNELS]
    tests.append("tests/ranks/test_elastic.py")
    return subprocess.run([*pytest, *tests, *sys.argv[1:]], cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
