"""Accelerate shards and pads a plan, saves in mid-epoch, and goes on with other ranks."""

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


def live(folder: Path, size: int, *saved: str) -> tuple[list[Any], list[Any]]:
    """Run on some ranks; return what they trained on, and how each ended."""
    with launchers.world("torchrun", size, folder, "-m", SCRIPT, str(folder), *saved) as world:
        assert world.wait(300) == [0], world.output()
    ranks = read(folder, "", size)
    return [one for rank in ranks for one in rank if len(one) == 3], [rank[-1] for rank in ranks]


def read(folder: Path, when: str, size: int) -> list[Any]:
    return [json.loads((folder / f"{when}{size}-{rank}.json").read_text()) for rank in range(size)]


def check_surplus(records: list[Any]) -> None:
    """Check that every epoch is observed whole, and that what was padded is counted."""
    padded = []
    for epoch in range(EPOCHS):
        kinds = {
            what: Counter(
                i for number, kind, ids in records if (number, kind) == (epoch, what) for i in ids
            )
            for what in ("kept", "hidden")
        }
        assert not kinds["kept"].keys() & kinds["hidden"].keys()
        observed = kinds["kept"] + kinds["hidden"]
        assert observed.keys() == set(range(N))
        counted = [n for number, kind, n in records if (number, kind) == (epoch, "surplus")]
        padded.append(observed.total() - N)
        assert counted == [[padded[-1]]] * 2
    assert max(padded) > 0


def test_a_run_goes_on_where_it_was_observed(tmp_path: Path) -> None:
    launchers.require("gloo")
    whole, ends = live(tmp_path, 2, "1")
    check_surplus(whole)
    before = [one for rank in read(tmp_path, "saved-", 2) for one in rank]
    after, again = live(tmp_path, 3)
    assert len({json.dumps(end) for end in [*ends, *again]}) == 1
    for epoch in range(EPOCHS):
        ids = [
            set(one)
            for number, what, one in [*before, *after]
            if epoch == number and what != "surplus"
        ]
        assert set.union(*ids) == set(range(N))  # none is lost
    kept = [set(one) for number, kind, one in before if (number, kind) == (1, "kept")]
    rest = Counter(i for number, kind, one in after if (number, kind) == (1, "kept") for i in one)
    assert not set.union(*kept) & rest.keys()  # none comes twice
