"""The same bits for every instruction set and number of threads."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from dynsample import _core

CASES = Path(__file__).with_name("isa_cases.py")


@cache
def digests(isa: str, threads: int) -> dict[str, object]:
    environment = {
        **os.environ,
        "DYNSAMPLE_ISA": isa,
        "DYNSAMPLE_THREADS": str(threads),
        "PYTHONPATH": str(Path(_core.__file__).parents[1]),
    }
    run = subprocess.run(
        [sys.executable, str(CASES)], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert (found.pop("isa"), found.pop("threads")) == (isa, threads)
    return found


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.whole), 3])
def test_results_have_the_same_bits(isa: str, threads: int) -> None:
    assert digests(isa, threads) == digests("plain", 1)


def test_an_unknown_instruction_set_is_refused_on_import() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import dynsample._core"],
        env={
            **os.environ,
            "DYNSAMPLE_ISA": "v9",
            "PYTHONPATH": str(Path(_core.__file__).parents[1]),
        },
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert "DYNSAMPLE_ISA must be one of plain" in run.stderr
