"""The ImageNet examples on two ranks: killed in mid-epoch, and resumed with one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.ranks import launchers

EXAMPLES = {"dali": "nvidia.dali", "ffcv": "ffcv"}
RANKS, N, ROWS, EPOCHS = 2, 193, 32, 3  # 193 = 6 * 32 + 1: a rank without a row in epoch 0
# Epoch 0 has 7 steps, of 11 in all every second one saves: one step after the last that did.
KILLED_AT = (1, 4 * ROWS)
Step = tuple[int, bool, int]  # epoch, hidden, position after it


def command(example: str, folder: Path, life: str, *more: str) -> list[str]:
    options = {
        "--samples": N,
        "--batch-size": ROWS,
        "--epochs": EPOCHS,
        "--workers": 1,
        "--tau": 0,  # what is right is hidden, however unsure
        "--save": folder / "checkpoints",
        "--every": 2,
        "--trace": folder / life,
    }
    script = launchers.ROOT / "examples" / f"imagenet_{example}.py"
    return [str(script), *(str(part) for pair in options.items() for part in pair), *more]


def steps(folder: Path, life: str) -> dict[Step, list[dict[str, Any]]]:
    """What the ranks of one life wrote down, step by step."""
    lines = [
        json.loads(line)
        for path in folder.glob(f"{life}.*")
        for line in path.read_text().splitlines()
    ]

    def step(line: dict[str, Any]) -> Step:
        return line["epoch"], line["pass"] == "hidden", line["position"]

    return {key: list(part) for key, part in groupby(sorted(lines, key=step), step)}


def issued(seen: dict[Step, list[dict[str, Any]]]) -> Iterator[tuple[int, bool, list[int]]]:
    """Ids of every step on all ranks, a padded row apart; steps must follow each other."""
    ends: dict[tuple[int, bool], int] = {}
    for (epoch, hidden, stop), parts in seen.items():
        start = ends.get((epoch, hidden), 0)
        ids = [i for part in parts for i in part["ids"]]
        if stop - start < len(parts):  # fewer rows than ranks
            assert len(ids) == len(parts)
            ids = sorted(set(ids))
        assert len(ids) == stop - start
        yield epoch, hidden, ids
        ends[epoch, hidden] = stop


@pytest.mark.parametrize(
    ("example", "launcher"),
    [
        ("dali", "torchrun"),
        pytest.param("ffcv", "mpich", marks=pytest.mark.whole),
        pytest.param("dali", "mpich", marks=pytest.mark.whole),
        pytest.param("ffcv", "torchrun", marks=pytest.mark.whole),
    ],
)
def test_killed_on_two_ranks_and_resumed_on_one_it_sees_every_sample_once(
    example: str, launcher: str, tmp_path: Path
) -> None:
    pytest.importorskip(EXAMPLES[example], exc_type=ImportError)
    launchers.require("gloo" if launcher == "torchrun" else launcher)
    (tmp_path / "temporary").mkdir()
    environ = {"TMPDIR": str(tmp_path / "temporary")}

    killed = command(example, tmp_path, "first", "--kill-at", *map(str, KILLED_AT))
    with launchers.world(launcher, RANKS, tmp_path, *killed, **environ) as world:
        assert any(world.wait()), world.output()
    first = steps(tmp_path, "first")
    assert (*KILLED_AT[:1], False, KILLED_AT[1]) in first, world.output()
    assert {len(parts) for step, parts in first.items() if step[0] == 0} == {RANKS}

    resumed = command(example, tmp_path, "second", "--resume")
    with launchers.world("plain", 1, tmp_path, *resumed, **environ) as world:
        assert not any(world.wait()), world.output()
    second = steps(tmp_path, "second")
    assert next(iter(second)) == (1, False, KILLED_AT[1])  # the step after the checkpoint, again

    seen = {step: parts for step, parts in first.items() if step < next(iter(second))} | second
    assert len({(step[0], part["plan"]) for step in seen for part in seen[step]}) == EPOCHS
    passes: dict[tuple[int, bool], list[int]] = {}
    for epoch, hidden, ids in issued(seen):
        passes.setdefault((epoch, hidden), []).extend(ids)
    for epoch in (0, 1):  # the last refresh may be left out: nothing is planned after it
        both = passes[epoch, False] + passes.get((epoch, True), [])
        assert sorted(both) == list(range(N))
    assert passes[1, True]
