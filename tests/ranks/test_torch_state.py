"""The sampler's state beside torch's distributed checkpoints and torchdata's loader."""

from __future__ import annotations

import json
from pathlib import Path

import launchers
import pytest

pytest.importorskip("torchdata")
SCRIPT = "tests.ranks.train_with_dcp"


def steps(folder: Path, start: int, ranks: int) -> dict[int, list[int]]:
    """Ids of all ranks by step; the model of all went through every step."""
    found: dict[int, list[int]] = {}
    for rank in range(ranks):
        weight, lines = json.loads((folder / f"{start}-{rank}.json").read_text())
        assert weight == lines[-1][0] + 1
        for step, ids in lines:
            found.setdefault(step, []).extend(ids)
    return found


@pytest.mark.parametrize(
    "restarted",
    [
        [(2, 0, 6), (1, 6, 14)],
        pytest.param([(2, 0, 5), (1, 5, 9), (3, 9, 14)], marks=pytest.mark.whole),
    ],
    ids=["two lives", "three lives"],
)
def test_a_run_goes_on_from_a_distributed_checkpoint_on_other_ranks(
    tmp_path: Path, restarted: list[tuple[int, int, int]]
) -> None:
    launchers.require("gloo")
    expected: dict[int, list[int]] = {}
    found: dict[int, list[int]] = {}
    for folder, lives in ((tmp_path / "one", [(1, 0, 14)]), (tmp_path / "two", restarted)):
        folder.mkdir()
        for ranks, start, stop in lives:
            command = ["-m", SCRIPT, str(folder), str(start), str(stop)]
            with launchers.world("gloo", ranks, folder, *command) as world:
                assert set(world.wait()) == {0}, world.output()
            (found if len(lives) > 1 else expected).update(steps(folder, start, ranks))
    assert list(expected) == list(found) == list(range(14))
    assert found == expected
