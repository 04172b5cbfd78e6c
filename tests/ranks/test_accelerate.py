"""Accelerate shards and pads a plan, stops in mid-epoch, and goes on with other ranks."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import launchers
import pytest

pytest.importorskip("accelerate", reason="Accelerate is not installed")

from tests.ranks.train_with_accelerate import EPOCHS, N

SCRIPT = "tests.ranks.train_with_accelerate"


def live(folder: Path, size: int, *stop: str) -> tuple[list[Any], list[Any]]:
    """Run on some ranks; return what they trained on, and how each ended."""
    folder.mkdir(exist_ok=True)
    with launchers.world("torchrun", size, folder, "-m", SCRIPT, str(folder), *stop) as world:
        assert world.wait(300) == [0], world.output()
    ranks = [json.loads((folder / f"{size}-{rank}.json").read_text()) for rank in range(size)]
    return [one for rank in ranks for one in rank if len(one) == 3], [rank[-1] for rank in ranks]


def test_a_run_goes_on_where_it_was_observed(tmp_path: Path) -> None:
    launchers.require("gloo")
    _, ends = live(tmp_path / "whole", 2)
    before, _ = live(tmp_path / "parts", 2, "1")
    after, again = live(tmp_path / "parts", 3)
    assert len({json.dumps(end) for end in [*ends, *again]}) == 1
    for epoch in range(EPOCHS):
        ids = [set(one) for number, _, one in [*before, *after] if number == epoch]
        assert set.union(*ids) == set(range(N))  # none is lost
    kept = [set(one) for number, kind, one in before if (number, kind) == (1, "kept")]
    rest = Counter(i for number, kind, one in after if (number, kind) == (1, "kept") for i in one)
    assert not set.union(*kept) & rest.keys()  # none comes twice
