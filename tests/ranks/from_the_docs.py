"""The snippets of docs/ranks.md, run on the ranks of a world that is asked to stop, twice.

In each rank: `python -m tests.ranks.from_the_docs TRANSPORT CHECKPOINT`. Rank 1 gets the signal.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dynsample as ds
from dynsample import groups
from tests import pages
from tests.ranks.world import join, leave

PAGE = "docs/ranks.md"
N, EPOCHS = 480, 4
STOPS = (25, 70)  # steps of all epochs at which the signal comes


def main() -> None:
    transport, checkpoint = sys.argv[1], Path(sys.argv[2])
    rank = join(transport)
    group = (groups.mpi if transport == "mpi" else groups.torch)(time_limit=60)
    warnings.simplefilter("error")
    trained: list[int] = []
    for stop in (*STOPS, -1):
        sampler = ds.Sampler(N, ds.InfoBatch(epochs=9), 8, group=group)
        model = torch.nn.Linear(1, 1, bias=False)
        if checkpoint.exists():
            sampler.load(checkpoint / "sampler")
            model.load_state_dict(torch.load(checkpoint / "model.pt")["model"])
            assert model.weight.item() == len(trained)

        def train(index: Any, sampler: Any = sampler, model: Any = model, stop: int = stop) -> Any:
            trained.append(sampler.epoch)
            torch.nn.init.constant_(model.weight, len(trained))
            if rank == 1 and len(trained) == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return np.ones(len(index), np.float32)

        given = {"sampler": sampler, "model": model, "torch": torch, "train": train}
        try:
            pages.run(
                PAGE, pages.blocks(PAGE), {**given, "checkpoint": checkpoint, "epochs": EPOCHS}
            )
            print(f"rank {rank} ends with {[trained.count(e) for e in range(EPOCHS)]}", flush=True)
        except SystemExit:
            print(f"rank {rank} stops after {len(trained)}", flush=True)
    leave(transport, group)


if __name__ == "__main__":
    main()
