"""Build dynsample: setuptools asks, CMake builds (see CMakeLists.txt)."""

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


class CMakeBuild(build_ext):
    """One CMake run serves every extension; the build tree is kept so rebuilds are incremental."""

    def run(self) -> None:
        """Configure, build, and install the modules where setuptools expects them."""
        tree = ROOT / "build" / f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
        outputs = [Path(self.get_ext_fullpath(ext.name)).resolve() for ext in self.extensions]
        for stale in outputs:  # a build without CUDA must not ship yesterday's _cuda
            stale.unlink(missing_ok=True)
        # fmt: off
        configure = [
            "cmake", "-S", str(ROOT), "-B", str(tree), "-G", "Ninja",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DDYNSAMPLE_CUDA={os.environ.get('DYNSAMPLE_CUDA', 'AUTO')}",
            f"-DDYNSAMPLE_CUDA_ON_HOST={os.environ.get('DYNSAMPLE_CUDA_ON_HOST', 'OFF')}",
            f"-DDYNSAMPLE_WERROR={os.environ.get('DYNSAMPLE_WERROR', 'OFF')}",
        ]
        # fmt: on
        if archs := os.environ.get("DYNSAMPLE_CUDA_ARCHS"):
            configure.append(f"-DCMAKE_CUDA_ARCHITECTURES={archs}")
        env = tools_environment()
        prefix = outputs[0].parents[1]
        for command in (
            configure,
            ["cmake", "--build", str(tree)],
            ["cmake", "--install", str(tree), "--prefix", str(prefix)],
        ):
            subprocess.run(command, check=True, env=env)


class BuildPython(build_py):
    """The source of the DALI operator goes into the package, as users compile it themselves."""

    def run(self) -> None:
        """Copy the package, and beside it the source; a checkout has it in csrc."""
        super().run()
        if not self.editable_mode:
            inside = Path(self.build_lib, "dynsample/dali/csrc")
            shutil.copytree(ROOT / "csrc/dali", inside, dirs_exist_ok=True)


setup(
    ext_modules=[
        Extension("dynsample._core", sources=[]),
        Extension("dynsample._cuda", sources=[], optional=True),  # there when CMake found nvcc
        Extension("dynsample._cuda_on_host", sources=[], optional=True),  # for tests, on request
    ],
    cmdclass={"build_ext": CMakeBuild, "build_py": BuildPython},
)
