"""Builds of the native modules with a sanitizer, and tests on them."""

from __future__ import annotations

import fcntl
import filecmp
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pybind11

ROOT = Path(__file__).parents[1]
COMPILER = os.environ.get("CXX", "g++")
# The thread sanitizer needs addresses where it looks for them.
FIXED_ADDRESSES = ["setarch", "-R"] if shutil.which("setarch") else []


def runtime(*libraries: str) -> str:
    """Return what LD_PRELOAD takes: the interpreter is not linked with them."""
    return " ".join(
        subprocess.run(
            [COMPILER, f"-print-file-name={library}"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for library in libraries
    )


def build(tree: Path, *options: str, module: str | None = None) -> Path:
    """Build with options of CMake; give the folder of a package with what was built.

    Processes that ask for one build take turns, and a repeat writes nothing that others may read.

    Parameters
    ----------
    tree : Path
        Kept, so that a repeat takes seconds.
    *options : str
    module : str, optional
        That alone; the others are those of the checkout.
    """
    site = tree / "site"
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    # fmt: off
    configure = [
        "cmake", "-S", str(ROOT), "-B", str(tree / "cmake"), "-G", "Ninja",
        "-DDYNSAMPLE_CUDA=OFF", "-DDYNSAMPLE_CUDA_ON_HOST=ON",
        "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1",
        f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        *options,
    ]
    # fmt: on
    tree.mkdir(parents=True, exist_ok=True)
    with open(tree / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            configure,
            ["cmake", "--build", str(tree / "cmake"), *(["--target", module] if module else [])],
            [
                *("cmake", "--install", str(tree / "cmake"), "--prefix", str(site)),
                *(["--component", module] if module else []),
            ],
        ):
            subprocess.run(
                command, check=True, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE
            )
        built = f"{module}.*.so" if module else "*.so"
        shutil.copytree(
            ROOT / "dynsample",
            site / "dynsample",
            dirs_exist_ok=True,
            copy_function=_copy_if_other,
            ignore=shutil.ignore_patterns(built, "__pycache__"),
        )
    return site


def _copy_if_other(source: str, target: str) -> None:
    if not (os.path.exists(target) and filecmp.cmp(source, target)):
        shutil.copy2(source, target)


def pytest(site: Path, *arguments: str, **variables: str) -> list[str]:
    """Return the command that runs tests on a build, with variables of the environment."""
    given = {
        "PYTHONPATH": str(site),
        "DYNSAMPLE_SANITIZED": str(site),
        "HYPOTHESIS_PROFILE": "quick",
        **variables,
    }
    # The variables are of the interpreter alone: a preloaded runtime is not for `env` itself.
    settings = [f"{name}={value}" for name, value in given.items()]
    # Not `-m pytest`: the sources in the current folder would come before the build.
    script = Path(sysconfig.get_path("scripts"), "pytest")
    return ["env", *settings, sys.executable, str(script), "-q", *arguments]


PARALLEL = ("-n", "auto", "--maxprocesses", "4")
