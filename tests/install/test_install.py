"""Installing again from one checkout: with other tools or options, or after it was moved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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


def run(*command: object, cwd: Path, **environ: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DYNSAMPLE") and k != "CXX"}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=kept | environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sources, without what was built from them."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for path in (ROOT / name for name in SOURCES):
        if path.is_dir():
            built = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(path, folder / path.name, ignore=built)
        else:
            shutil.copy(path, folder)
    return folder


class Environment:
    """A build environment: a Python, and beside it cmake and ninja."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder)
        for tool in ("cmake", "ninja"):
            (folder / "bin" / tool).symlink_to(Path(sysconfig.get_path("scripts"), tool))

    def build(self, checkout: Path, **environ: str) -> list[str]:
        """Build in place; give the ninja, the compiler and the architectures that CMake took."""
        site = {"PYTHONPATH": sysconfig.get_path("purelib")}
        python = self.folder / "bin" / "python"
        run(python, "setup.py", "-q", "build_ext", "--inplace", cwd=checkout, **site, **environ)
        return (checkout / "dynsample" / "_core.so").read_text().split(",")


@pytest.fixture
def stand_in(checkout: Path) -> Path:
    """The checkout with a project that is quickly built."""
    (checkout / "CMakeLists.txt").write_text(PROJECT)
    return checkout


def test_a_build_does_not_need_the_tools_of_an_earlier_one(stand_in: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        environment = Environment(tmp_path / name)
        ninja, *_ = environment.build(stand_in)
        assert ninja == str(environment.folder / "bin" / "ninja")
        shutil.rmtree(environment.folder)


def test_a_build_keeps_no_option_and_no_compiler_of_an_earlier_one(
    stand_in: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "tools")
    plain = environment.build(stand_in)
    other = tmp_path / "g++-other"
    other.symlink_to(plain[1])
    options = {"CXX": str(other), "DYNSAMPLE_CUDA_ARCHS": "80-real"}
    assert environment.build(stand_in, **options) == [plain[0], str(other), "80-real"]
    assert environment.build(stand_in) == plain


def test_a_build_like_the_one_before_begins_where_that_ended(
    stand_in: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "tools")
    environment.build(stand_in)
    (files,) = stand_in.glob("build/*/CMakeFiles")
    (files / "compiled.o").touch()
    environment.build(stand_in)
    assert (files / "compiled.o").exists()


def test_a_checkout_that_was_moved_can_be_built(stand_in: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "tools")
    environment.build(stand_in)
    environment.build(stand_in.rename(tmp_path / "moved"))


@pytest.mark.whole
@pytest.mark.timeout(1800)
def test_two_installs_with_isolation_from_one_checkout(checkout: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "user", with_pip=True)
    python = tmp_path / "user" / "bin" / "python"
    for wanted in (".", ".[mpi]"):
        run(python, "-m", "pip", "install", "-q", wanted, cwd=checkout, DYNSAMPLE_CUDA="OFF")
        code = "import dynsample; print(len(dynsample.Sampler(10, batch_size=5)))"
        assert run(python, "-c", code, cwd=tmp_path) == "2\n"
    run(python, "-c", "import mpi4py", cwd=tmp_path)
