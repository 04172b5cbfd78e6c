"""The snippets of docs/weighted-sampling.md, run on the ranks of a world.

In each rank: `python -m tests.ranks.weighted_page TRANSPORT`.
"""

from __future__ import annotations

import sys
import warnings
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Subset

import dynsample as ds
from dynsample import groups
from tests import pages
from tests.ranks.world import join, leave

PAGE = "docs/weighted-sampling.md"
SIZES, EPOCHS = (500, 60, 7), 3


class ByClass(torch.utils.data.Dataset[Any]):
    """A data set in the order of its classes, as folders are."""

    targets = np.repeat(np.arange(len(SIZES)), SIZES).tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[int, int]:
        return index, self.targets[index]


class Mixed(ByClass):
    """The same in an order that has nothing to do with classes."""

    targets = np.random.default_rng(0).permutation(ByClass.targets).tolist()


def main() -> None:
    transport = sys.argv[1]
    rank = join(transport)
    group = (groups.mpi if transport == "mpi" else groups.torch)(time_limit=60)
    warnings.simplefilter("error")
    train_set = ByClass()
    trained: list[list[int]] = []
    drawn: list[int] = []
    given = {
        "ds": ds, "DataLoader": DataLoader, "train_set": train_set, "epochs": EPOCHS,
        "train": lambda images, targets: trained.append(targets.tolist()),
        "repeated": lambda index: drawn.extend(index.tolist()),
    }  # fmt: skip
    (balanced, repeated, by_class) = pages.blocks(PAGE)
    given = pages.run(PAGE, [balanced, repeated], given)
    steps = len(trained) // EPOCHS
    for epoch in range(EPOCHS):
        classes = list(chain(*trained[epoch * steps : (epoch + 1) * steps]))
        counts = group.sum(np.bincount(classes, minlength=len(SIZES)), "counts of classes")
        print(f"rank {rank} of {group.size} trained on {counts.tolist()}", flush=True)
    times = group.sum(np.bincount(drawn, minlength=len(train_set)), "counts of samples")
    missed = np.abs(times - given["factors"]).max()
    print(f"rank {rank} repeated {times.sum()}, within 1: {missed <= 1}", flush=True)
    even: list[int] = []
    given |= {"np": np, "Subset": Subset, "train_set": Mixed()}
    pages.run(PAGE, [by_class], {**given, "even": lambda targets: even.extend(targets.tolist())})
    counts = group.sum(np.bincount(even, minlength=len(SIZES)), "counts of classes")
    print(f"rank {rank} of mixed labels trained on {counts.tolist()}", flush=True)
    leave(transport, group)


if __name__ == "__main__":
    main()
