"""Build dynsample: setuptools asks, CMake builds (see CMakeLists.txt)."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from subprocess import PIPE, STDOUT

import pybind11
from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent.resolve()


def tools_environment() -> dict[str, str]:
    """Give the environment with this interpreter's scripts first: cmake and ninja are there."""
    scripts = sysconfig.get_path("scripts")
    return {**os.environ, "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")])}


def check_tools(env: dict[str, str]) -> None:
    """End with a sentence when there is nothing to build with."""
    for tool in ("cmake", "ninja"):
        if not shutil.which(tool, path=env["PATH"]):
            raise SystemExit(
                f"dynsample is built with cmake and ninja, and there is no {tool}: pip fetches "
                f"both, but with --no-build-isolation it is `pip install {tool}` first"
            )
    named = env.get("CXX", "").split()[:1]  # options may follow
    if not any(shutil.which(one, path=env["PATH"]) for one in named or CXX):
        found = f"CXX={named[0]} is not one" if named else f"none of {', '.join(CXX)} is there"
        raise SystemExit(
            f"dynsample needs a C++20 compiler, and {found}: install g++ 11 or later (Debian and "
            "Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++; conda: conda install gxx), "
            "or name another one, as in CXX=g++-12 pip install ."
        )


# The compilers that CMake looks for, as far as they can build this.
CXX = ("c++", "g++", "clang++")
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
    run = subprocess.run(
        command if same else [*command, "--fresh"], env=env, text=True, stdout=PIPE, stderr=STDOUT
    )
    if run.returncode:
        raise SystemExit(why_not(run.stdout, tree / "configure.log"))
    print(run.stdout, end="", flush=True)
    stamp.write_text(inputs)


def why_not(output: str, log: Path) -> str:
    """Return what CMake says is wrong, without what it looked at on the way."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(output)
    error = re.search(r"^CMake Error[^\n]*\n(.+?)(\n\n\n|\nCall Stack|\Z)", output, re.M | re.S)
    words = (error[1] if error else output[-400:]).split()
    return f"dynsample is not built: {' '.join(words)[:400]} (all of it: {log})"


class CMakeBuild(build_ext):
    """One CMake run serves every extension; the build tree is kept so rebuilds are incremental."""

    def configure(self) -> tuple[Path, dict[str, str]]:
        """Configure; return the build tree, and the environment to build it in."""
        tree = ROOT / "build" / f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
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
        check_tools(env)
        configure(tree, command, env)
        return tree, env

    def run(self) -> None:
        """Configure, build, and install the modules where setuptools expects them."""
        tree, env = self.configure()
        outputs = [Path(self.get_ext_fullpath(ext.name)).resolve() for ext in self.extensions]
        for stale in outputs:  # a build without CUDA must not ship yesterday's _cuda
            stale.unlink(missing_ok=True)
        prefix = outputs[0].parents[1]
        for step in ("--build", str(tree)), ("--install", str(tree), "--prefix", str(prefix)):
            subprocess.run(["cmake", *step], check=True, env=env)


class Build(build):
    """A build that first sees whether there can be one, as pip shows all that is said before."""

    def run(self) -> None:
        """Configure, and only then say what is copied where."""
        cmake = self.get_finalized_command("build_ext")
        assert isinstance(cmake, CMakeBuild)
        cmake.configure()
        super().run()


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
    cmdclass={"build": Build, "build_ext": CMakeBuild, "build_py": BuildPython},
)
