"""Files that were altered, also behind right checksums: their own error, no other, and no crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KINDS = {"state": 250, "payload": 130, "pack": 120}  # damaged files of each kind, in every run
WHOLE = 40  # times as many, in a run of all tests


def opened_in_a_process(kind: str, first: int, last: int) -> None:
    # Its memory is limited, and no other thread is to be refused its stack for that.
    environment = {**os.environ, "DYNSAMPLE_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    script = Path(__file__).with_name("damage.py")
    command = [sys.executable, "-X", "faulthandler", str(script), kind, str(first), str(last)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_opened_or_refused_by_its_own_error(kind: str) -> None:
    opened_in_a_process(kind, 0, KINDS[kind])


@pytest.mark.whole
@pytest.mark.parametrize("part", range(WHOLE // 4))
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_damage_is_refused_by_its_own_error(kind: str, part: int) -> None:
    step = 4 * KINDS[kind]
    opened_in_a_process(kind, part * step, (part + 1) * step)
