"""Ranks that are joined after the sampler was made share an epoch, or get an error."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import launchers
import pytest

from tests.ranks.joined_later import EPOCHS, N

ERROR = "torch.distributed is not initialised: call torch.distributed.init_process_group first"


def run(framework: str, folder: Path) -> tuple[bool, str]:
    launchers.require("gloo")
    transport, size = ("torchrun", 2) if framework == "torchrun" else ("plain", 1)
    command = ["-m", "tests.ranks.joined_later", framework, str(folder)]
    with launchers.world(transport, size, folder, *command) as world:
        return not any(world.wait(240)), world.output()


@pytest.mark.parametrize("framework", ["spawn", launchers.whole("lightning")])
def test_no_id_comes_to_two_ranks(framework: str, tmp_path: Path) -> None:
    if not importlib.util.find_spec(framework) and framework == "lightning":
        pytest.skip("needs Lightning")
    succeeded, output = run(framework, tmp_path)
    assert succeeded, output
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2))
    for epoch in range(EPOCHS):
        mine, theirs = first[epoch], second[epoch]
        assert len({*mine, *theirs}) == len(mine) + len(theirs) == N - int(0.3 * N)


def test_torchrun_asks_for_its_group_first(tmp_path: Path) -> None:
    succeeded, output = run("torchrun", tmp_path)
    assert not succeeded
    assert ERROR in output
