"""Lightning starts ranks, deals a plan to them, and goes on from its checkpoints."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import launchers
import pytest

pytest.importorskip("lightning", reason="Lightning is not installed")

SCRIPT = "tests.ranks.train_with_lightning"
N, STOPPED = 53, 1


def live(folder: Path, *arguments: str) -> None:
    launchers.require("gloo")
    command = ("-m", SCRIPT, str(folder), *arguments)
    with launchers.world("plain", 1, folder, *command) as world:
        assert world.wait(600) == [0], world.output()


def read(folder: Path) -> tuple[list[Any], list[float], Any]:
    """Return what each of two ranks did, the surplus of every epoch, and how the run ended."""
    ranks = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    assert ranks[0][1:] == ranks[1][1:]
    return [records for records, _, _ in ranks], *ranks[0][1:]


def ids_of(records: list[Any], epoch: int, kind: str) -> Counter[int]:
    return Counter(
        i for number, what, ids in records if (number, what) == (epoch, kind) for i in ids
    )


def check_whole(folder: Path) -> None:
    ranks, surplus, end = read(folder)
    lengths = []
    for epoch in range(4):
        padded = 0
        planned: set[int] = set()
        for kind in ("kept", "hidden"):
            shares = [ids_of(records, epoch, kind) for records in ranks]
            assert shares[0].total() == shares[1].total()
            together = sum(shares, Counter())
            padding = together.total() - len(together)
            assert padding == len(together) % 2  # ranks have nothing else in common
            padded += padding
            assert not planned & together.keys()
            planned |= together.keys()
            lengths.append(len(together))
        assert planned == set(range(N))
        assert surplus[epoch] == padded
    assert lengths[0] == N
    assert lengths[2] < lengths[4] > lengths[6]
    assert end[0] == 4


def test_ranks_share_every_epoch_and_go_on_from_every_checkpoint_of_one(tmp_path: Path) -> None:
    live(tmp_path, "ddp", "resumed")
    check_whole(tmp_path / "whole")
    ranks, _, end = read(tmp_path / "whole")
    whole = [*ranks[0], *ranks[1]]
    kept, hidden = (ids_of(whole, STOPPED, kind).keys() for kind in ("kept", "hidden"))
    first = [sum(number == 0 for number, _, _ in records) for records in ranks]
    assert first[0] == first[1]
    folders = sorted(tmp_path.glob(f"epoch={STOPPED}-*"))
    steps = [sum((n, what) == (STOPPED, "kept") for n, what, _ in records) for records in ranks]
    assert len(folders) == steps[0] + 1
    for folder in folders:
        done = int(folder.name.split("=")[2].split("-")[0]) - first[0]
        again, _, its_end = read(folder)
        after = [*again[0], *again[1]]
        assert its_end == end
        if folder.name.endswith("-end"):
            assert min(number for number, _, _ in after) == STOPPED + 1
            continue
        before = [one for records in ranks for one in records[first[0] : first[0] + done]]
        parts = ids_of(before, STOPPED, "kept"), ids_of(after, STOPPED, "kept")
        assert sum(parts, Counter()).keys() == kept
        assert not parts[0].keys() & parts[1].keys()
        assert parts[1].total() - len(parts[1]) == len(parts[1]) % 2
        assert ids_of(after, STOPPED, "hidden").keys() == hidden


@pytest.mark.whole
def test_ranks_that_are_spawned_share_every_epoch(tmp_path: Path) -> None:
    live(tmp_path, "ddp_spawn")
    check_whole(tmp_path / "whole")
