"""Runs of several epochs through a loader on the ranks of a world, written down step by step.

In each rank: `python tests/loaders/rank_run.py TRANSPORT LOADER VARIANT FOLDER`.
"""

from __future__ import annotations

import importlib
import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from adapters import Batch
from images import ImageTree
from numpy.typing import NDArray

import dynsample as ds
from dynsample import groups
from dynsample.run.views import HiddenView

# 49 = 6 * 8 + 1 kept in epoch 0; then 17 = 2 * 8 + 1 hidden ones: ranks without a row at both ends.
N, EPOCHS = 49, 3
ROWS = 8  # of a step, on all ranks
LAST_HIDDEN_ROWS = 6  # in the last epoch: 17 = 2 * 6 + 5, of which ranks get different numbers
SAVES = ((1, "kept", 16), (1, "kept", 32), (1, "hidden", 8))

Run = list[dict[str, Any]]


class Plain:
    """A sampler on its own, as a loader."""

    def __init__(self, tree: ImageTree, sampler: ds.Sampler) -> None:
        self._tree, self._sampler = tree, sampler

    def __iter__(self) -> Iterator[Batch]:
        return map(self._batch, self._sampler)

    def __len__(self) -> int:
        return len(self._sampler)

    def hidden(self, batch_size: int | None = None) -> Iterator[Batch]:
        return map(self._batch, HiddenView(self._sampler.run, batch_size))

    def _batch(self, index: NDArray[np.int64]) -> Batch:
        return Batch(index, self._tree.labels[index], index)


def make_sampler(group: groups.Group) -> ds.Sampler:
    rows = ROWS // group.size
    return ds.Sampler(N, ds.Kakurenbo(fraction=0.35), rows, seed=5, group=group)


def runs(sampler: ds.Sampler, loader: Any, tree: ImageTree, into: Path, saved: Path) -> list[Run]:
    """Train from the start, and from each of the states in `saved`."""
    done = [run(sampler, loader, tree, into)]
    for save in SAVES:
        sampler.load(saved / name_of(save))
        done.append(run(sampler, loader, tree, None))
    return done


def run(sampler: ds.Sampler, loader: Any, tree: ImageTree, into: Path | None) -> Run:
    """Train to the end from where the sampler is; give what each step brought to this rank."""
    steps: Run = []
    for epoch in range(sampler.epoch, EPOCHS):
        sampler.set_epoch(epoch)
        rows = LAST_HIDDEN_ROWS // sampler.group.size if epoch == EPOCHS - 1 else None
        for name in ("kept", "hidden"):
            for batch in loader if name == "kept" else loader.hidden(rows):
                np.testing.assert_array_equal(batch.ids, batch.index)
                np.testing.assert_array_equal(batch.labels, tree.labels[batch.index])
                observe(sampler, batch.index)
                state = sampler.state_dict()
                position = state["positions" if name == "kept" else "hidden_positions"]
                step = (epoch, name, position)
                steps.append(
                    {
                        "step": step,
                        "ids": batch.index.tolist(),
                        "weights": sampler.weights(batch.index).tolist(),
                        "length": len(loader),
                        "plan": state["digest"],
                    }
                )
                if into and step in SAVES:
                    sampler.save(into / name_of(step))
    return steps


def observe(sampler: ds.Sampler, index: NDArray[np.int64]) -> None:
    """Report losses that depend on sample and epoch; every prediction is right and sure."""
    loss = ((index * 7919 + sampler.epoch * 31) % 101).astype(np.float32)
    ones = np.ones(len(index), np.float32)
    sampler.observe(index, loss=loss, correct=ones, confidence=ones)


def name_of(step: tuple[int, str, int]) -> str:
    return "-".join(map(str, step))


def main() -> None:
    transport, loader, variant, place = sys.argv[1:]
    folder = Path(place)
    sys.path.insert(0, str(Path(__file__).parents[1] / "ranks"))
    joined = importlib.import_module("world").join(transport)
    tree = pickle.loads((folder / "tree.pickle").read_bytes())
    sampler = make_sampler(groups.as_group("auto" if transport == "mpi" else groups.torch()))
    assert (sampler.group.rank, sampler.group.size) == (joined, 2)
    adapter = importlib.import_module(f"adapters.{loader}")
    opened = adapter.open_loader(tree, sampler, **adapter.VARIANTS[variant])
    done = runs(sampler, opened, tree, folder / "ranks", folder / "one")
    (folder / f"rank-{joined}.json").write_text(json.dumps(done))
    sampler.group.barrier("the end")
    opened.close()
    if transport == "torch":
        importlib.import_module("torch.distributed").destroy_process_group()


if __name__ == "__main__":
    main()
