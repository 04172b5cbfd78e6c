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


@pytest.mark.parametrize(
    ("transport", "limit"),
    [("mpich", LONG), launchers.whole("openmpi", LONG), ("gloo", SHORT)],
)
def test_a_rank_that_was_interrupted_while_it_waited_ends(
    transport: str, limit: str, tmp_path: Path
) -> None:
    launchers.require(transport)
    kind = "torch" if transport == "gloo" else "mpi"
    command = ["-m", "tests.ranks.fault", kind, "interrupted", limit, str(tmp_path / "waiting")]
    with launchers.world(transport, 2, tmp_path, *command) as world:
        assert world.wait_first() != 0, world.output()
    assert_says(world.output(), "^interrupted\n")
    broken = r"no call can be made for the next epoch: rank 0 of 2 left the end of the epoch \("
    assert_says(world.output(), f"GroupError: {broken}")
    if kind == "mpi":
        assert_says(world.output(), "left the end of the epoch in the middle, and the other ranks")


def assert_says(output: str, error: str) -> None:
    assert re.search(error, output, re.M), output
    assert "went on alone" not in output
