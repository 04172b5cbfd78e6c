"""The Trainer of transformers on ranks: each plan is trained on once, and stops lose nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import launchers
import pytest

pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="Accelerate is not installed")

from tests.ranks.train_with_hf import BATCH, EPOCHS

SCRIPT = "tests.ranks.train_with_hf"
SIZE = 2


def live(folder: Path, *arguments: object) -> dict[str, Any]:
    """Return what the ranks did, by run, and by rank in each."""
    given = [str(one) for one in (folder, *arguments)]
    with launchers.world("torchrun", SIZE, folder, "-m", SCRIPT, *given) as world:
        assert world.wait(900) == [0], world.output()
    ranks = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(SIZE)]
    return {name: [rank[name] for rank in ranks] for name in ranks[0]}


def ids(ranks: list[Any], kind: str, epoch: int) -> list[int]:
    return [i for rank in ranks for i in rank[kind].get(str(epoch), [])]


@pytest.mark.parametrize(
    ("policy", "accumulation", "n"),
    [
        ("Kakurenbo", 3, 53),
        *(
            pytest.param(policy, accumulation, 640, marks=pytest.mark.whole)
            for policy in ("InfoBatch", "Kakurenbo")
            for accumulation in (1, 4)
        ),
    ],
)
def test_two_ranks_make_the_steps_of_every_plan_also_after_a_stop(
    policy: str, accumulation: int, n: int, tmp_path: Path
) -> None:
    launchers.require("gloo")
    runs = live(tmp_path, policy, accumulation, n)
    whole = runs.pop("whole")
    for here in whole:
        for key in ("weights", "rates", "updates", "last", "planned"):
            assert here[key] == whole[0][key]
        assert here["left"] == 0
        assert here["rates"][-1] == 0.0
    updates = []
    for epoch in range(EPOCHS):
        planned, used = whole[0]["planned"][str(epoch)], ids(whole, "kept", epoch)
        assert set(used) == set(planned)
        assert len(used) - len(planned) < SIZE * BATCH  # by which the last batches are filled up
        batches = math.ceil(math.ceil(len(planned) / BATCH) / SIZE)
        updates.append(math.ceil(batches / accumulation))
        hidden = set(range(n)) - set(planned) if policy == "Kakurenbo" else set()
        assert set(ids(whole, "hidden", epoch)) == hidden
    assert whole[0]["updates"] == updates
    assert whole[0]["steps"] == whole[0]["last"] == sum(updates)
    assert min(updates) < updates[0]
    for parts in runs.values():
        first, second = zip(*parts, strict=True)
        for epoch in range(EPOCHS):
            before, after = ids(first, "kept", epoch), ids(second, "kept", epoch)
            planned = {**first[0]["planned"], **second[0]["planned"]}[str(epoch)]
            assert set(before) | set(after) == set(planned)
            assert len(before) + len(after) - len(planned) < SIZE * BATCH  # none comes twice
        assert second[0]["steps"] == second[0]["last"]
        assert second[0]["rates"][-1] == 0.0
