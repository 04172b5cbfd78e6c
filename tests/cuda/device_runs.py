"""Runs of a sampler, on a device or on the CPU, that tests compare."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dynsample as ds
from dynsample.kernels.cuda import Device
from dynsample.policies.registry import make
from dynsample.reference.fold import of_every_kind
from dynsample.table.columns import EMA, Last, Transitions

torch = pytest.importorskip("torch")


N, EPOCHS = 3001, 4
POLICIES = {
    "uniform": make("uniform"),
    "curriculum": make("curriculum", pace=ds.schedules.root(0.3, 3)),
    "order-dp": make("order-dp"),
    "reducible-loss": make("reducible-loss"),
    "seta": make("seta", prune_ratio=0.2, num_group=5, delta=1.0),
    "kakurenbo": make("kakurenbo", fraction=0.4, tau=0.4),
    "random": make("random"),
    "random with replacement": make("random", replacement=True),
    "infobatch": make("infobatch", delta=1.0),
    "importance": make("importance", smoothing=0.2, temperature=1.7, correct_bias=True),
    "importance without replacement": make("importance", num_draws=1200, replacement=False),
    "selective-backprop": make("selective-backprop", beta=1),
    "forgetting": make("forgetting", static_epochs=1, never_learned="n", lag=True),
    "ies": make("ies", delta=1.0, window=1, warmup_epochs=0),
    "weighted": make("weighted", probabilities="loss", num_draws=4000),
    "class-budget": make("class-budget", fraction=0.6),
    "group-dro": make("group-dro", temperature=0.2),
    "afss": make("afss", signals=("confidence",), easy_fraction=0.3, moderate=0.7),
    "replay-priority": make("replay-priority", temperature=0.7, num_draws=4000),
    "pass-rate": make("pass-rate", num_draws=1000, form="gaussian", retire=0.8),
    "pass-rate with replacement": make("pass-rate", num_draws=4000, replacement=True),
}
COLUMNS = {
    "loss": Last(),
    "correct": Last(),
    **of_every_kind("loss", 2),
    "early": Last(signal="loss", until=2),
    "events": Transitions(signal="correct"),
    "reward": EMA(0.5),
}
SMALL_BATCH = 64
GROUPS = np.arange(N) * 7 % 13 % 9


class Squares(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> int:
        return index * index


def _unit(ids: np.ndarray, epoch: int) -> np.ndarray:
    unit = np.sin(ids * 12.9898 + epoch * 78.233) * 43758.5453
    return unit - np.floor(unit)


def outputs(ids: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
    """Losses with ties, NaN and infinities; what a model would give for these ids."""
    unit = _unit(ids, epoch)
    loss = (np.floor(unit * 50) / 16).astype(np.float32)
    loss[ids % 97 == 3] = np.nan
    loss[ids % 101 == 4] = np.inf
    return {
        "loss": loss,
        "correct": (unit < 0.7).astype(np.float32),
        "confidence": (1 - unit / 2).astype(np.float32),
    }


def signals(ids: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
    """All that `COLUMNS` take; some rewards are NaN."""
    reward = np.where(ids % 89 == 5, np.nan, np.floor(_unit(ids, epoch) * 9) / 8)
    return {**outputs(ids, epoch), "reward": reward.astype(np.float32)}


def state(sampler: ds.Sampler) -> dict[str, Any]:
    timed = {"plan_seconds", "fold_seconds"}
    table = {name: array.tobytes() for name, array in sampler.table.state().items()}
    stats = {name: value for name, value in sampler.stats.items() if name not in timed}
    return {"digest": sampler.plan.digest, "stats": stats, **table}


def train(sampler: ds.Sampler, device: Device | None) -> list[dict[str, Any]]:
    """Return the state at every epoch's start."""
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
    issued = {} if options.get("issue") == "external" else {"issued": ds.Issued()}
    columns = COLUMNS | issued
    given = {"seed": 11, "columns": columns, "group": None, "groups": GROUPS, **options}
    sampler = ds.Sampler(N, POLICIES[name], SMALL_BATCH, device=where, **given)
    for column, rule in sampler.table.columns.items():
        if isinstance(rule, ds.Static):
            imported = signals(np.arange(N), 9)["loss"]
            sampler.table.set_column(column, sampler.table.rows(imported))
    return sampler
