"""Build dynsample: setuptools asks, CMake builds (see CMakeLists.txt)."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pybind11
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent.resolve()


def tools_environment() -> dict[str, str]:
    """Give the environment with this interpreter's scripts first: cmake and ninja are there."""
    scripts = sysconfig.get_path("scripts")
    return {**os.environ, "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")])}


# What CMake takes from the environment.
COMPILERS = ("CXX", "CXXFLAGS", "LDFLAGS", "CUDACXX", "CUDAFLAGS", "CUDAHOSTCXX", "CUDA_PATH")


def configure(tree: Path, command: list[str], env: dict[str, str]) -> None:
    """Configure a build tree, anew where anything differs from when that was done last.

    CMake's cache keeps what was found once: the ninja of a build environment that is gone, "no
    nvcc" when there is one now, the compiler of yesterday's CXX.
    """
    tools = {name: shutil.which(name, path=env["PATH"]) for name in ("cmake", "ninja", "nvcc")}
    inputs = json.dumps([command, tools, {name: env.get(name) for name in COMPILERS}])
    stamp = tree / "configured.json"
    same = stamp.exists() and stamp.read_text() == inputs
    stamp.unlink(missing_ok=True)
    subprocess.run(command if same else [*command, "--fresh"], check=True, env=env)
    stamp.write_text(inputs)


class CMakeBuild(build_ext):
    """One CMake run serves every extension; the build tree is kept so rebuilds are incremental."""

    def run(self) -> None:
        """Configure, build, and install the modules where setuptools expects them."""
        tree = ROOT / "build" / f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
        outputs = [Path(self.get_ext_fullpath(ext.name)).resolve() for ext in self.extensions]
        for stale in outputs:  # a build without CUDA must not ship yesterday's _cuda
            stale.unlink(missing_ok=True)
        # fmt: off
        command = [
            "cmake", "-S", str(ROOT), "-B", str(tree), "-G", "Ninja",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DDYNSAMPLE_CUDA={os.environ.get('DYNSAMPLE_CUDA', 'AUTO')}",
            f"-DDYNSAMPLE_CUDA_ON_HOST={os.environ.get('DYNSAMPLE_CUDA_ON_HOST', 'OFF')}",
            f"-DDYNSAMPLE_WERROR={os.environ.get('DYNSAMPLE_WERROR', 'OFF')}",
        ]
        # fmt: on
        if archs := os.environ.get("DYNSAMPLE_CUDA_ARCHS"):
            command.append(f"-DCMAKE_CUDA_ARCHITECTURES={archs}")
        env = tools_environment()
        configure(tree, command, env)
        prefix = outputs[0].parents[1]
        for step in ("--build", str(tree)), ("--install", str(tree), "--prefix", str(prefix)):
            subprocess.run(["cmake", *step], check=True, env=env)


class BuildPython(build_py):
    """The source of the DALI operator goes into the package, as users compile it themselves."""

    def run(self) -> None:
        """Copy the package, and beside it the source; a checkout has it in csrc."""
        if not self.editable_mode:  # what is there is of an earlier state of the checkout
            shutil.rmtree(Path(self.build_lib, "dynsample"), ignore_errors=True)
        super().run()
        if not self.editable_mode:
            shutil.copytree(ROOT / "csrc/dali", Path(self.build_lib, "dynsample/dali/csrc"))


setup(
    ext_modules=[
        Extension("dynsample._core", sources=[]),
        Extension("dynsample._cuda", sources=[], optional=True),  # there when CMake found nvcc
        Extension("dynsample._cuda_on_host", sources=[], optional=True),  # for tests, on request
    ],
    cmdclass={"build_ext": CMakeBuild, "build_py": BuildPython},
)
