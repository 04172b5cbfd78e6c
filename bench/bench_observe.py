"""What one step's observation costs, beside scatters of its three signals.

The whole Python call `Sampler.observe` over an epoch of batches, and with it the fold of that
epoch: what a step costs in all. The scatters keep the last value of each signal and check nothing.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from common import Bench

import dynsample as ds

NAMES = ("loss", "correct", "confidence")
BATCH = 256


def main() -> int:
    bench = Bench("observe", __doc__.splitlines()[0])
    n = bench.parse().n
    generator = np.random.default_rng(0)
    torch.set_num_threads(1)
    sampler = ds.Sampler(n, ds.Kakurenbo(), batch_size=BATCH, drop_last=True)
    index = [batch.copy() for batch in sampler]
    signals = [{name: generator.random(BATCH, np.float32) for name in NAMES} for _ in index]
    arrays = list(zip(index, signals, strict=True))
    tensors = [
        (torch.from_numpy(ids), {name: torch.from_numpy(v) for name, v in values.items()})
        for ids, values in arrays
    ]
    torch_tables = {name: torch.zeros(n) for name in NAMES}
    numpy_tables = {name: np.zeros(n, np.float32) for name in NAMES}

    def torch_scatters() -> None:
        for ids, values in tensors:
            for name in NAMES:
                torch_tables[name].index_put_((ids,), values[name])

    def numpy_scatters() -> None:
        for ids, values in arrays:
            for name in NAMES:
                numpy_tables[name][ids] = values[name]

    def observe(batches: list) -> None:
        for ids, values in batches:
            sampler.observe(ids, **values)

    def observe_and_fold(batches: list) -> None:
        observe(batches)
        sampler.run.observations.log.close()
        sampler.table.fold(sampler.run.observations.log, epoch=0)

    def start() -> None:
        sampler.set_epoch(0, restart=True)

    peers = {"three torch index_put_": torch_scatters, "three numpy t[i] = v": numpy_scatters}
    for kind, batches in {"torch": tensors, "numpy": arrays}.items():
        for what, call in {"observe": observe, "observe + fold": observe_and_fold}.items():
            for peer, scatters in peers.items():
                bench.compare(
                    f"{what}, {kind}, B = {BATCH}",
                    lambda call=call, batches=batches: call(batches),
                    peer,
                    scatters,
                    unit="us",
                    per=len(batches),
                    setup=start,
                )
    for name in NAMES:
        ours = np.where(sampler.table.seen, sampler.table[name], 0)
        np.testing.assert_array_equal(ours, torch_tables[name].numpy())
    print("the table holds what the scatters hold")
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
