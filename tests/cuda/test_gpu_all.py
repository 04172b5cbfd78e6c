"""gpu_all.sh: its parts run within their limits, here on the kernels' build for the CPU."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("dynsample._cuda_on_host", reason="built with the tests' set-up")

BENCH = Path(__file__).parents[2] / "bench"
# Runs the program that it would watch, and reports of CUB's kernels and ours what it is told to.
SANITIZER = """#!/bin/sh
tool=$2
while [ "$1" != "{python}" ]; do
  if [ "$1" = --log-file ]; then log=$2; fi
  shift
done
"$@" || exit
cat "$(dirname "$0")/$tool" > "$log" 2> /dev/null || true
"""
UNINITIALIZED = """========= COMPUTE-SANITIZER
========= Uninitialized __global__ memory read of size 4 bytes
=========     at void cub::DeviceRadixSortOnesweepKernel<dynsample::cuda::IsSet>(int)+0x140
=========     by thread (3,0,0) in block (0,0,0)
=========
========= Uninitialized __global__ memory read of size 4 bytes
=========     at void dynsample::cuda::run<dynsample::cuda::Append>(dynsample::cuda::Append)+0x90
=========     by thread (0,0,0) in block (0,0,0)
=========
========= ERROR SUMMARY: 2 errors
"""


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for the PATH: there, python3 is this one, and the sanitizer a stand-in."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "compute-sanitizer").write_text(SANITIZER.format(python=sys.executable))
    for tool in folder.iterdir():
        tool.chmod(0o755)
    (folder / "initcheck").write_text(UNINITIALIZED)
    return folder


class Result:
    """What was said of each part, and the files that were written."""

    def __init__(self, folder: Path, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.text = done.returncode, done.stdout + done.stderr
        summary = done.stdout.partition("== summary")[2].splitlines()[1:]
        self.parts = dict(
            re.findall(r"^([\w-]+) +((?:FAILED|ok|left|not).*)$", "\n".join(summary), re.M)
        )
        self.files = {path.name: path.read_text() for path in folder.glob("cuda-*")}


def gpu_all(tmp_path: Path, tools: Path, *arguments: str, patience: float = 10) -> Result:
    folder = tmp_path / "results"
    environ = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", str(BENCH / "gpu_all.sh"), str(folder), *arguments, "--device", "host",
         "--patience", str(patience)],
        env=environ, capture_output=True, text=True,
    )  # fmt: skip
    return Result(folder, done)


@pytest.mark.whole
def test_parts_run_in_turn_and_say_what_became_of_them(tmp_path: Path, tools: Path) -> None:
    found = gpu_all(tmp_path, tools, "initcheck", "import", "nccl", "step")
    assert found.status == 0, found.text
    assert list(found.parts) == ["import", "step", "nccl", "initcheck"]
    assert found.parts["initcheck"].endswith(" s; 2 records, 1 in our kernels")
    base = "cuda-host-initcheck-import-nccl-step"
    assert found.files.keys() == {f"{base}.txt", f"{base}.json"}
    assert "== summary" in found.files[f"{base}.txt"]
    assert json.loads(found.files[f"{base}.json"].splitlines()[0])["device"] == "host"


def test_a_part_that_fails_fails_the_call_and_not_what_follows(tmp_path: Path, tools: Path) -> None:
    (tools / "compute-sanitizer").write_text("#!/bin/sh\necho hazards; exit 9\n")
    found = gpu_all(tmp_path, tools, "synccheck", "initcheck")
    assert found.status == 1
    assert [text.split(",")[0] for text in found.parts.values()] == ["FAILED: status 9"] * 2


@pytest.mark.whole
def test_a_part_is_ended_at_its_limit(tmp_path: Path, tools: Path) -> None:
    (tools / "compute-sanitizer").write_text("#!/bin/sh\nexec sleep 1000\n")
    found = gpu_all(tmp_path, tools, "synccheck", patience=0.7)
    assert found.status == 1
    assert found.parts.keys() == {"synccheck"}
    assert re.fullmatch(r"FAILED: over its \d+ s", found.parts["synccheck"])


def test_without_a_sanitizer_its_parts_are_left_out(tmp_path: Path, tools: Path) -> None:
    (tools / "compute-sanitizer").unlink()
    found = gpu_all(tmp_path, tools, "memcheck")
    assert found.status == 0, found.text
    assert found.parts == {"memcheck": "left out; compute-sanitizer is not on the PATH"}


def test_a_part_that_there_is_not_is_refused(tmp_path: Path, tools: Path) -> None:
    found = gpu_all(tmp_path, tools, "third")
    assert found.status == 1
    assert "part must be one of first, second, import, kernels" in found.text
    assert "got third" in found.text


@pytest.mark.whole
@pytest.mark.parametrize("call", ["first", "second"])
def test_every_part_of_a_call_runs(call: str, tmp_path: Path, tools: Path) -> None:
    found = gpu_all(tmp_path, tools, call)
    assert found.status == 0, found.text
    assert all(text.startswith("ok, ") for text in found.parts.values()), found.parts


def test_the_limits_of_a_call_add_up_to_what_it_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)
    from gpu_parts import CALLS, PARTS

    limits = [sum(part.limit for part in PARTS if part.call == call) for call in CALLS]
    assert limits == [240, 400]
