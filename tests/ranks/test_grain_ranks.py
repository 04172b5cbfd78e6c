"""Processes of JAX, which have no group but JAX's own: all observe everything, and plan alike."""

from __future__ import annotations

import json
from pathlib import Path

import launchers
import pytest

pytest.importorskip("grain", reason="Grain is not installed")
pytest.importorskip("jax", reason="JAX is not installed")

SIZE = 2


@pytest.mark.whole
def test_processes_that_observe_everything_share_the_plans(tmp_path: Path) -> None:
    port = str(launchers.free_port())
    command = ["-m", "tests.ranks.train_with_grain", str(tmp_path), port]
    launches = [
        (launchers.python(*command, str(rank), str(SIZE)), {"JAX_PLATFORMS": "cpu"})
        for rank in range(SIZE)
    ]
    with launchers.running(launches, tmp_path) as world:
        assert world.wait() == [0] * SIZE, world.output()
    both = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(SIZE)]
    for refused, _ in both:
        assert "JAX has 2 processes, and the sampler 1 of them as ranks" in refused
    lengths = []
    for (digest, ids, given), (other_digest, other_ids, _) in zip(
        *(each[1] for each in both), strict=True
    ):
        assert digest == other_digest
        kept, hidden = given
        union = [*ids, *other_ids]
        assert len(set(union)) == len(union)
        assert len({*kept, *hidden} - {*union}) < 16  # all but what is no whole step
        lengths.append(len(kept))
    assert lengths[0] > lengths[1]
