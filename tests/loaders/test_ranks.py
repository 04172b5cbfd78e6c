"""Every loader gives many ranks what it gives one, step by step, and goes on with other numbers."""

from __future__ import annotations

import importlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from images import write_tree
from rank_run import EPOCHS, ROWS, SAVES, N, Plain, Run, make_sampler, runs

from dynsample import groups
from tests.ranks import launchers

RANKS = 2
SCRIPT = Path(__file__).with_name("rank_run.py")
PACKAGES = {"torch": "torch", "ffcv": "ffcv", "dali": "nvidia.dali"}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]


def merged(ranks: list[Run], one: Run) -> Run:
    """Put the steps of all ranks together, each of which must be its share of the step of one."""
    assert {len(run) for run in ranks} == {len(one)}
    steps = []
    for expected, *parts in zip(one, *ranks, strict=True):
        rows = len(expected["ids"])
        ids, weights = [], []
        for rank, part in enumerate(parts):
            first, last = rank * rows // RANKS, (rank + 1) * rows // RANKS
            assert len(part["ids"]) == max(last - first, 1)
            if first < last:
                ids += part["ids"]
                weights += part["weights"]
            else:  # a padded row, which counts for nothing
                assert part["ids"] == expected["ids"][:1]
                assert part["weights"] == [0.0] or expected["step"][1] == "hidden"
        steps.append({**parts[0], "ids": ids, "weights": weights})
    return steps


@pytest.mark.parametrize(
    ("transport", "loader", "variant"),
    [
        ("gloo", "torch", "persistent"),
        pytest.param("gloo", "torch", "spawned", marks=pytest.mark.whole),
        pytest.param("gloo", "ffcv", "mapped", marks=pytest.mark.whole),  # FFCV takes 7 s to import
        ("gloo", "dali", "operator"),
        ("mpich", "torch", "no workers"),
        pytest.param("mpich", "torch", "spawned", marks=pytest.mark.whole),
    ],
)
def test_ranks_get_their_shares_of_every_step_and_states_move_between_numbers_of_ranks(
    transport: str, loader: str, variant: str, tmp_path: Path
) -> None:
    launchers.require(transport)
    pytest.importorskip(PACKAGES[loader], exc_type=ImportError)
    tree = write_tree(tmp_path / "tree", N)
    (tmp_path / "tree.pickle").write_bytes(pickle.dumps(tree))
    plain = make_sampler(groups.single())
    expected = runs(plain, Plain(tree, plain), tree, tmp_path / "one", tmp_path / "one")
    assert_whole(expected)

    adapter = importlib.import_module(f"adapters.{loader}")
    sampler = make_sampler(groups.single())
    opened: Any = adapter.open_loader(tree, sampler, **adapter.VARIANTS[variant])
    kind = "torch" if transport == "gloo" else "mpi"
    command = (str(SCRIPT), kind, loader, variant, str(tmp_path))
    with launchers.world(transport, RANKS, tmp_path, *command) as world:
        assert not any(world.wait(300)), world.output()
    reports = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(RANKS)]
    for ranks, one in zip(zip(*reports, strict=True), expected, strict=True):
        assert merged(list(ranks), one) == as_json(one)

    again = runs(sampler, opened, tree, tmp_path / "again", tmp_path / "ranks")
    opened.close()
    assert again == expected


def as_json(run: Run) -> Run:
    steps: Run = json.loads(json.dumps(run))
    return steps


def assert_whole(expected: list[Run]) -> None:
    """One process sees every sample once an epoch, and a state leads to the rest of its run."""
    first = expected[0]
    for epoch in range(EPOCHS):
        ids = [i for step in first if step["step"][0] == epoch for i in step["ids"]]
        assert sorted(ids) == list(range(N))
    steps = [step["step"] for step in first]
    for save, rest in zip(SAVES, expected[1:], strict=True):
        assert rest == first[steps.index(save) + 1 :]
    lasts = {len(step["ids"]) for step in first if len(step["ids"]) < ROWS}
    assert lasts == {1, 5, 6}  # a rank without a row, and ranks with different numbers
