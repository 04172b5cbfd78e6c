"""Threads of the core, under the sanitizers that see races and memory errors."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "csrc" / "core"
COMPILER = os.environ.get("CXX", "g++")

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="needs a C++ compiler")


def run(program: str, sanitizer: str, sources: list[str], folder: Path) -> str:
    """Compile a program of tests/native with sources of the core; give what it prints."""
    binary = folder / program
    # fmt: off
    subprocess.run(
        [COMPILER, "-std=c++20", "-O1", "-g1", f"-fsanitize={sanitizer}", f"-I{ROOT / 'csrc'}",
         ROOT / "tests" / "native" / f"{program}.cpp", *(CORE / f"{name}.cpp" for name in sources),
         "-o", binary, "-pthread", "-ldl"],
        check=True,
    )
    # fmt: on
    # The thread sanitizer needs addresses where it looks for them.
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []
    done = subprocess.run([*fixed, binary], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[:5000]
    return done.stdout


def test_observations_while_epochs_end_race_with_nothing_and_are_folded_once(
    tmp_path: Path,
) -> None:
    sources = ["log", "observations", "fold", "pack", "match", "parallel", "system"]
    printed = run("log_threads", "thread", sources, tmp_path)
    assert printed == "400000 of 400000 observations are in the table\n"


def test_work_goes_on_with_the_threads_that_the_system_grants(tmp_path: Path) -> None:
    printed = run("refused_threads", "address", ["parallel", "system"], tmp_path)
    assert printed == "every chunk was done once\n"
