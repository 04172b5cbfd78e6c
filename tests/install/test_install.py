"""Installing again from one checkout: with other tools or options, or after it was moved."""

from __future__ import annotations

import shutil
import sysconfig
import venv
from pathlib import Path

import pytest
import sources
from sources import run


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return sources.copy_to(tmp_path / "checkout")


class Environment:
    """A build environment: a Python, and beside it cmake and ninja."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder)
        for tool in ("cmake", "ninja"):
            (folder / "bin" / tool).symlink_to(Path(sysconfig.get_path("scripts"), tool))

    def why_no_wheel(self, checkout: Path, **environ: str) -> str:
        """Build a wheel in vain; give the one sentence that pip shows beside its own."""
        done = sources.call(
            *(self.folder / "bin/python", "-m", "pip", "wheel", "--no-build-isolation", "."),
            cwd=checkout,
            **{"PYTHONPATH": sysconfig.get_path("purelib"), **environ},
        )
        assert done.returncode
        shown = (done.stdout + done.stderr).split("lines of output]\n")[1].split("[end of")[0]
        *others, sentence = shown.strip().splitlines()
        assert [line.split()[0] for line in others] == ["running", "running"]
        return sentence.strip()

    def build(self, checkout: Path, **environ: str) -> list[str]:
        """Build in place; give the ninja, the compiler and the architectures that CMake took."""
        site = {"PYTHONPATH": sysconfig.get_path("purelib")}
        python = self.folder / "bin" / "python"
        run(python, "setup.py", "-q", "build_ext", "--inplace", cwd=checkout, **site, **environ)
        return (checkout / "dynsample" / "_core.so").read_text().split(",")


@pytest.fixture
def stand_in(checkout: Path) -> Path:
    """The checkout with a project that is quickly built."""
    return sources.without_extension(checkout)


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


def test_without_a_compiler_pip_shows_one_sentence(stand_in: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "tools")
    empty = tmp_path / "empty"
    empty.mkdir()
    for named, found in (
        ({}, "none of c++, g++, clang++ is there"),
        ({"CXX": "g++-none -O2"}, "CXX=g++-none is not one"),
    ):
        said = environment.why_no_wheel(stand_in, PATH=str(empty), **named)
        assert said.startswith(f"dynsample needs a C++20 compiler, and {found}: install g++ 11")


def test_without_cmake_pip_shows_one_sentence(stand_in: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "tools")
    (environment.folder / "bin/cmake").unlink()
    said = environment.why_no_wheel(stand_in, PATH=str(tmp_path))
    assert "there is no cmake" in said
    assert "pip install cmake" in said


def test_what_cmake_refuses_is_one_sentence(stand_in: Path, tmp_path: Path) -> None:
    refusal = 'message(FATAL_ERROR "dynsample needs a newer\ncompiler")\n'
    (stand_in / "CMakeLists.txt").write_text(sources.PROJECT + refusal)
    said = Environment(tmp_path / "tools").why_no_wheel(stand_in)
    (log,) = stand_in.glob("build/*/configure.log")
    assert said == f"dynsample is not built: dynsample needs a newer compiler (all of it: {log})"


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
