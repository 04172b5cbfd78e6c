"""Signals on one rank: an error that says so, or, where a flag was set, a save on all of them."""

from __future__ import annotations

import re
from pathlib import Path

import launchers
import pytest

RIGHT = (
    r"went through"
    r"|GroupError: .*the ranks are out of step: rank 0 (is at|left) .*; rank 1 (is at|left) .*"
    r"|GroupError: .* failed on rank 1 of 2: KeyboardInterrupt"
    r"|DisagreementError: ranks disagree in .*"
)


@pytest.mark.parametrize("transport", launchers.TRANSPORTS)
@pytest.mark.parametrize("moments", [4, pytest.param(20, marks=pytest.mark.whole)])
def test_ranks_out_of_step_after_an_interrupt_say_so(
    transport: str, moments: int, tmp_path: Path
) -> None:
    launchers.require(transport)
    kind = "torch" if transport == "gloo" else "mpi"
    command = ["-m", "tests.ranks.interrupted", kind, str(moments), str(moments), str(tmp_path)]
    with launchers.world(transport, 2, tmp_path, *command) as world:
        statuses = world.wait(300)
        assert not any(statuses), world.output()
    assert "Traceback" not in world.output()
    for rank in range(2):
        lines = (tmp_path / f"rank-{rank}.txt").read_text().splitlines()
        assert len(lines) == moments, world.output()
        for line in lines:
            assert re.fullmatch(RIGHT, line), line


@pytest.mark.parametrize("transport", ["mpich", launchers.whole("openmpi"), "gloo"])
def test_the_snippets_of_the_docs_stop_all_ranks_at_one_step_and_go_on(
    transport: str, tmp_path: Path
) -> None:
    launchers.require(transport)
    kind = "torch" if transport == "gloo" else "mpi"
    command = ["-m", "tests.ranks.from_the_docs", kind, str(tmp_path / "last")]
    with launchers.world(transport, 2, tmp_path, *command) as world:
        assert not any(world.wait()), world.output()
    steps = 480 // 16
    for rank in range(2):
        for line in ("stops after 31", "stops after 71", f"ends with {[steps] * 4}"):
            assert f"rank {rank} {line}" in world.output()
