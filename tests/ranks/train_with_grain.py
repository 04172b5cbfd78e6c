"""Train in processes of JAX that observe what all of them had, and have no other group.

`python -m tests.ranks.train_with_grain FOLDER PORT RANK SIZE`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather

import dynsample as ds
from dynsample import grain

N, EPOCHS, BATCH = 40, 3, 4


def main(folder: str, port: str, rank: str, size: str) -> None:
    jax.distributed.initialize(f"127.0.0.1:{port}", int(size), int(rank))
    policy = ds.Kakurenbo(fraction=0.3, tau=0.0)
    source = np.arange(N, dtype=np.float32)
    refused = ""
    try:
        grain.dataset(source, ds.Sampler(N, policy, issue="external"))
    except RuntimeError as error:
        refused = str(error)
    sampler = ds.Sampler(N, policy, seed=1, issue="external", group=ds.groups.single())
    epochs = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        ids = []
        for hidden in (False, True):
            samples = grain.dataset(source, sampler, hidden=hidden)
            step = BATCH * jax.process_count()
            whole = samples[: len(samples) // step * step]
            for values, index in whole[jax.process_index() :: jax.process_count()].batch(BATCH):
                losses = jax.numpy.asarray(values) * 7 % 11
                every, all_losses = process_allgather((index, losses), tiled=True)
                ones = np.ones(len(every), np.float32)
                sampler.observe(every, loss=all_losses, correct=ones, confidence=ones)
                ids += index.tolist()
        given = [sampler.plan.order.tolist(), sampler.plan.hidden.tolist()]
        epochs.append((sampler.plan.digest, ids, given))
    Path(folder, f"{rank}.json").write_text(json.dumps([refused, epochs]))


if __name__ == "__main__":
    main(*sys.argv[1:])
