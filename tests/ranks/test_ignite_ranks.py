"""Ranks of pytorch-ignite go through the epochs of one plan."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import launchers
import pytest

pytest.importorskip("ignite.engine", reason="pytorch-ignite is not installed")

SCRIPT = "tests.ranks.train_with_ignite"


@pytest.mark.whole
@pytest.mark.parametrize("size", [2, 3])
def test_the_code_of_the_page_trains_on_ranks(tmp_path: Path, size: int) -> None:
    launchers.require("gloo")
    with launchers.world("torchrun", size, tmp_path, "-m", SCRIPT, str(tmp_path)) as world:
        assert world.wait(300) == [0], world.output()
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(size)]
    assert len({(rank["steps"], rank["digest"]) for rank in ranks}) == 1
    for epoch in "0123":
        parts = [rank["epochs"][epoch] for rank in ranks]
        for planned, observed in ((0, 2), (1, 3)):
            [plan] = {tuple(part[planned]) for part in parts}
            counts = Counter(i for part in parts for i in part[observed])
            assert counts.keys() == set(plan)
            assert counts.total() - len(plan) < size  # padded rows of the last step
    sizes = [len(ranks[0]["epochs"][epoch][0]) for epoch in "0123"]
    assert sizes[1] < sizes[2] < sizes[3] == sizes[0] == 90
