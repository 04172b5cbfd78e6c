"""A build that is carried to a machine with a GPU is used there only where it belongs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the script reads, and an empty package."""
    for name in ("bench", "cmake", "csrc", "dynsample"):
        (tmp_path / name).mkdir()
    for name in ("CMakeLists.txt", "bench/gpu_bundle.sh", "cmake/cuda.cmake", "csrc/core/sum.h"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def bundle(checkout: Path, verb: str, **environ: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(checkout / "bench/gpu_bundle.sh"), verb],
        env=os.environ | {"PATH": path} | environ, capture_output=True, text=True,
    )  # fmt: skip


def carry(checkout: Path, suffix: str = SUFFIX) -> None:
    folder = checkout / "build/gpu"
    (folder / "dynsample").mkdir(parents=True)
    (folder / "sources").write_text(bundle(checkout, "sources").stdout)
    for name in ("_core", "_cuda"):
        (folder / f"dynsample/{name}{suffix}").write_text(name)


def test_a_build_of_these_sources_for_this_python_is_used(checkout: Path) -> None:
    carry(checkout)
    done = bundle(checkout, "use")
    assert done.returncode == 0, done.stderr
    found = sorted(path.name for path in (checkout / "dynsample").iterdir())
    assert found == [f"_core{SUFFIX}", f"_cuda{SUFFIX}"]


def test_a_build_of_other_sources_is_not(checkout: Path) -> None:
    carry(checkout)
    with (checkout / "csrc/core/sum.h").open("a") as file:
        file.write("// and more\n")
    done = bundle(checkout, "use")
    assert done.returncode == 1
    assert "build/gpu was built from other sources" in done.stderr
    assert not list((checkout / "dynsample").iterdir())


def test_a_build_for_another_python_is_not(checkout: Path) -> None:
    carry(checkout, ".cpython-399-x86_64-linux-gnu.so")
    done = bundle(checkout, "use")
    assert done.returncode == 1
    assert "build/gpu is for another Python: it has _core.cpython-399" in done.stderr
    assert not list((checkout / "dynsample").iterdir())


def test_without_a_build_it_says_how_to_make_one(checkout: Path) -> None:
    done = bundle(checkout, "use")
    assert done.returncode == 1
    assert "there is no build/gpu: make gpu-bundle" in done.stderr


def test_without_python_312_it_says_how_to_get_one(checkout: Path) -> None:
    tools = checkout / "tools"
    tools.mkdir()
    for tool in ("bash", "dirname"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    done = bundle(checkout, "make", PATH=str(tools), HOME=str(checkout))
    assert done.returncode == 1
    assert "there is no Python 3.12 here: install one with its headers" in done.stderr
    assert "or set GPU_PYTHON" in done.stderr
    done = bundle(checkout, "make", GPU_PYTHON="python9")
    assert done.returncode == 1
    assert "GPU_PYTHON=python9 is no program" in done.stderr
