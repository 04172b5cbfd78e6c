"""The scripts that need a GPU: tried on the kernels' build for the CPU, and refused without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dynsample import cuda

BENCH = Path(__file__).parents[2] / "bench"


def script(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / name), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def there_is_a_gpu() -> bool:
    try:
        return bool(cuda.require())
    except cuda.CudaUnavailable:
        return False


@pytest.mark.parametrize(
    ("name", "options", "last"),
    [
        ("bench_cuda.py", ["--n", "2000"], "all answers are right"),
        ("sanitize_cuda.py", [], "as on the CPU"),
    ],
)
def test_a_script_runs_on_the_host_build_and_shows_no_times(
    name: str, options: list[str], last: str
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("dynsample._cuda_on_host", reason="built with the tests' set-up")
    done = script(name, "--device", "host", *options)
    assert done.returncode == 0, done.stderr
    assert "its times are no results" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(last)
    assert " us " not in done.stdout


@pytest.mark.parametrize("name", ["bench_cuda.py", "bench_step.py", "sanitize_cuda.py"])
def test_a_script_without_a_gpu_says_why_and_fails(name: str) -> None:
    pytest.importorskip("torch")
    if there_is_a_gpu():
        pytest.skip("there is a GPU")
    done = script(name)
    assert done.returncode == 1
    assert "CudaUnavailable: " in done.stderr
