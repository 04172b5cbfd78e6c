"""The scripts that need a GPU: tried on the kernels' build for the CPU, and refused without one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dynsample import cuda

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"


def script(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / name), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def there_is_a_gpu() -> bool:
    try:
        return bool(cuda.require())
    except cuda.CudaUnavailable:
        return False


def host_build() -> Any:
    pytest.importorskip("torch")
    return pytest.importorskip("dynsample._cuda_on_host", reason="built with the tests' set-up")


def test_a_bench_runs_on_the_host_build_and_shows_no_times() -> None:
    host_build()
    done = script("bench_cuda.py", "--device", "host", "--n", "2000")
    assert done.returncode == 0, done.stderr
    assert "its times are no results" in done.stdout
    assert done.stdout.splitlines()[-1] == "all answers are right"
    assert " us " not in done.stdout


def test_every_kernel_there_is_runs_for_the_sanitizers() -> None:
    kernels = host_build().launched()
    done = script("sanitize_cuda.py", "--device", "host")
    assert done.returncode == 0, done.stdout + done.stderr
    *_, count, last = done.stdout.splitlines()
    assert count == f"{len(kernels)} of {len(kernels)} kernels ran"
    assert last == "every kernel: as on the CPU"


def test_the_kernels_of_the_host_build_are_those_of_the_device() -> None:
    try:
        device = cuda.load()
    except cuda.CudaUnavailable as error:
        pytest.skip(str(error))
    assert host_build().launched().keys() == device.launched().keys()


def test_the_kernels_of_the_source_are_in_the_build() -> None:
    """A kernel is a struct whose operator takes a block, or the number of an item."""
    launched = " ".join(host_build().launched())
    found = set()
    for source in (ROOT / "csrc/cuda").glob("*.cu"):
        text = source.read_text()
        text += "".join(
            (ROOT / "csrc" / name).read_text() for name in re.findall(r'#include "(cuda/.*)"', text)
        )
        for name, body in re.findall(r"^struct (\w+) .*?\{\n(.*?)^\};", text, re.M | re.S):
            if re.search(r"void operator\(\)\((Block& block|std::size_t \w*)\) const", body):
                found.add(name)
    assert len(found) >= 20
    assert {name for name in found if not re.search(rf"\b{name}\b", launched)} == set()


@pytest.mark.parametrize(
    "name",
    [
        "bench_cuda.py",
        *(
            pytest.param(name, marks=pytest.mark.whole)
            for name in ("bench_step.py", "sanitize_cuda.py")
        ),
    ],
)
def test_a_script_without_a_gpu_says_why_and_fails(name: str) -> None:
    pytest.importorskip("torch")
    if there_is_a_gpu():
        pytest.skip("there is a GPU")
    done = script(name)
    assert done.returncode == 1
    assert "CudaUnavailable: " in done.stderr


def test_a_mask_of_later_ties_is_found_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(BENCH)
    from cuda_cases import assert_lowest

    scores = torch.tensor([3.0, 1.0, 2.0, 1.0, 1.0])
    assert_lowest(scores, 2, torch.tensor([False, True, False, True, False]))
    for wrong, why in (
        ([False, True, False, False, True], "of equal scores, later ones are hidden"),
        ([False, True, True, False, False], None),
        ([False, True, False, True, True], None),
    ):
        with pytest.raises(AssertionError, match=why):
            assert_lowest(scores, 2, torch.tensor(wrong))
