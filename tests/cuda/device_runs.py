"""Runs of a sampler, on a device or on the CPU, that tests compare."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dynsample as ds
from dynsample.columns import Last, Transitions
from dynsample.device import Device
from dynsample.reference.fold import of_every_kind

torch = pytest.importorskip("torch")


N, EPOCHS = 3001, 4
POLICIES = {
    "uniform": ds.Uniform(),
    "kakurenbo": ds.Kakurenbo(fraction=0.4, tau=0.4),
    "random subset": ds.RandomSubset(0.3),
    "random subset with replacement": ds.RandomSubset(0.3, replacement=True),
    "infobatch": ds.InfoBatch(ratio=0.5, delta=1.0),
    "importance": ds.ImportanceSampling(smoothing=0.2, temperature=1.7, correct_bias=True),
    "importance without replacement": ds.ImportanceSampling(num_draws=1200, replacement=False),
    "selective backprop": ds.SelectiveBackprop(beta=1),
    "forgetting": ds.Forgetting(fraction=0.3, static_epochs=1, never_learned="n", lag=True),
    "weighted": ds.WeightedRandom("loss", num_draws=4000),
}
COLUMNS = {
    "loss": Last(),
    "correct": Last(),
    **of_every_kind("loss", 2),
    "early": Last(signal="loss", until=2),
    "events": Transitions(signal="correct"),
}
SMALL_BATCH = 64


class Squares(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> int:
        return index * index


def signals(ids: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
    """Losses with ties, NaN and infinities; what a model would give for these ids."""
    unit = np.sin(ids * 12.9898 + epoch * 78.233) * 43758.5453
    unit -= np.floor(unit)
    loss = (np.floor(unit * 50) / 16).astype(np.float32)
    loss[ids % 97 == 3] = np.nan
    loss[ids % 101 == 4] = np.inf
    return {
        "loss": loss,
        "correct": (unit < 0.7).astype(np.float32),
        "confidence": (1 - unit / 2).astype(np.float32),
    }


def state(sampler: ds.Sampler) -> dict[str, Any]:
    timed = {"plan_seconds", "fold_seconds"}
    table = {name: array.tobytes() for name, array in sampler.table.state().items()}
    stats = {name: value for name, value in sampler.stats.items() if name not in timed}
    return {"digest": sampler.plan.digest, "stats": stats, **table}


def train(sampler: ds.Sampler, device: Device | None) -> list[dict[str, Any]]:
    """Give the state at every epoch's start."""
    states = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        states.append(state(sampler))
        for batches in (sampler, sampler.hidden):
            for ids in batches:
                seen = signals(ids, epoch)
                if device is None:
                    sampler.observe(ids, **seen)
                else:
                    there = {name: device.put(value) for name, value in seen.items()}
                    sampler.observe(device.put(ids), **there)
    return states


def sampler_on(device: Device | None, name: str, **options: Any) -> ds.Sampler:
    where = "cpu" if device is None else device
    given = {"seed": 11, "columns": COLUMNS, "group": None, **options}
    return ds.Sampler(N, POLICIES[name], SMALL_BATCH, device=where, **given)
