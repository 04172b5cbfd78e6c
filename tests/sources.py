"""A copy of the sources, to install from, as tests do it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = (
    "CMakeLists.txt",
    "LICENSE",
    "README.md",
    "cmake",
    "csrc",
    "dynsample",
    "pyproject.toml",
    "setup.py",
)
# Instead of the extension, as a library: what CMake knows.
PROJECT = """
cmake_minimum_required(VERSION 3.26)
project(stand_in LANGUAGES CXX)
file(WRITE ${CMAKE_BINARY_DIR}/_core.so
     "${CMAKE_MAKE_PROGRAM},${CMAKE_CXX_COMPILER},${CMAKE_CUDA_ARCHITECTURES}")
install(FILES ${CMAKE_BINARY_DIR}/_core.so DESTINATION dynsample)
"""


def call(*command: object, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DYNSAMPLE") and k != "CXX"}
    return subprocess.run(
        [*map(str, command)], cwd=cwd, env=kept | environ, capture_output=True, text=True
    )


def run(*command: object, cwd: Path, **environ: str) -> str:
    done = call(*command, cwd=cwd, **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_to(folder: Path) -> Path:
    """Copy the sources, without what was built from them."""
    folder.mkdir()
    for path in (ROOT / name for name in SOURCES):
        if path.is_dir():
            built = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(path, folder / path.name, ignore=built)
        else:
            shutil.copy(path, folder)
    return folder


def without_extension(checkout: Path) -> Path:
    """Put a project that is quickly built in the place of the native one."""
    (checkout / "CMakeLists.txt").write_text(PROJECT)
    return checkout
