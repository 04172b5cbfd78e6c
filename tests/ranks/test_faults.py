"""A rank that dies or stalls ends the run with an error, and never leaves the others waiting."""

from __future__ import annotations

import re
from pathlib import Path

import launchers
import pytest

LONG, SHORT = "100", "2"  # seconds: a limit that is not reached, and one that is


@pytest.mark.parametrize(
    ("fault", "limit", "error"),
    [
        ("killed", LONG, "lost another rank, .* while it waited for the end of the epoch"),
        ("stopped", SHORT, "waited 2 s for the end of the epoch: another rank has died, stalls"),
        ("absent", SHORT, "waited 2 s for the other ranks to make the same group"),
    ],
)
def test_gloo_ranks_get_an_error(fault: str, limit: str, error: str, tmp_path: Path) -> None:
    launchers.require("gloo")
    command = ["-m", "tests.ranks.fault", "torch", fault, limit, str(tmp_path / "waiting")]
    with launchers.world("gloo", 2, tmp_path, *command) as world:
        assert world.wait_first() == 1, world.output()
    assert_says(world.output(), f"GroupError: rank 0 of 2 {error}")


@pytest.mark.parametrize(
    ("fault", "limit", "error"),
    [
        ("killed", LONG, ""),  # the launcher ends the job before any rank may speak
        ("stopped", SHORT, "waited 2 s for the end of the epoch: another rank has died, stalls"),
        ("absent", SHORT, "waited 2 s for the other ranks to make the same group"),
    ],
)
@pytest.mark.parametrize("transport", ["mpich", "openmpi"])
def test_an_mpi_job_ends(
    transport: str, fault: str, limit: str, error: str, tmp_path: Path
) -> None:
    launchers.require(transport)
    command = ["-m", "tests.ranks.fault", "mpi", fault, limit, str(tmp_path / "waiting")]
    with launchers.world(transport, 2, tmp_path, *command) as world:
        assert world.wait() != [0], world.output()
    assert_says(world.output(), f"dynsample: rank 0 of 2 {error}" if error else "")


def assert_says(output: str, error: str) -> None:
    assert re.search(error, output), output
    assert "went on alone" not in output
