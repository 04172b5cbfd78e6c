"""Runs of a sampler in which every score depends on when and where it was observed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dynsample as ds
from dynsample import groups
from dynsample.groups import Group
from dynsample.groups.mpi import MPIGroup
from dynsample.groups.simulated import SimulatedGroup
from dynsample.groups.standing import Standing
from dynsample.groups.torch import TorchGroup
from dynsample.policies.registry import make
from dynsample.reference.fold import of_every_kind
from dynsample.run.life import planned

N = 997
ROWS = 24  # of a step on all ranks: divides by 1, 2, 3, 4, 8
COLUMNS = {
    **of_every_kind("loss", 3),
    "events": ds.Transitions(signal="correct"),
    "reward": ds.EMA(0.5),
}
POLICIES = {
    "uniform": make("uniform"),
    "curriculum": make("curriculum", pace=ds.schedules.root(0.3, 4)),
    "kakurenbo": make("kakurenbo", tau=0.5),
    "infobatch": make("infobatch", delta=1.0),
    "importance": make("importance", smoothing=0.1, correct_bias=True),
    "importance without": make("importance", num_draws=300, replacement=False),
    "order-dp": make("order-dp"),
    "reducible-loss": make("reducible-loss"),
    "seta": make("seta", prune_ratio=0.2, num_group=5, delta=1.0),
    "random": make("random"),
    "random with": make("random", replacement=True),
    "selective-backprop": make("selective-backprop"),
    "forgetting": make("forgetting", static_epochs=2, lag=True),
    "ies": make("ies", delta=3.0, window=1, warmup_epochs=1, refresh_every=2),
    "weighted": make("weighted", probabilities="loss"),
    "class-budget": make("class-budget", fraction=0.6),
    "group-dro": make("group-dro"),
    "afss": make("afss", signals=("confidence",), easy=0.7, moderate=0.2, easy_fraction=0.3),
    "replay-priority": make("replay-priority", temperature=0.7),
    "pass-rate": make("pass-rate", num_draws=300, form="gaussian", retire=0.9),
    "weighted by array": make("weighted", probabilities=np.arange(N, dtype=np.float32)),
}


def outputs(index: NDArray[np.int64], step: int) -> dict[str, NDArray[np.float32]]:
    """Return what a model would give."""
    loss = ((index * 7919 + step * 31) % N / 100).astype(np.float32)
    return {
        "loss": loss,
        "correct": (loss < 6).astype(np.float32),
        "confidence": np.where(loss < 5, loss / 5, 0).astype(np.float32),
    }


def signals(index: NDArray[np.int64], step: int) -> dict[str, NDArray[np.float32]]:
    """Return all that `COLUMNS` take."""
    return {**outputs(index, step), "reward": (index * 31 % 9 / 8).astype(np.float32)}


def sampler(group: Group, policy: str, **options: Any) -> ds.Sampler:
    rows, n = options.pop("rows", ROWS), options.pop("n", N)
    issued = {} if options.get("issue") == "external" else {"issued": ds.Issued()}
    made = ds.Sampler(
        n, POLICIES[policy], rows // group.size, seed=5, group=group, columns=COLUMNS | issued,
        groups=np.arange(n) * 7 % 13 % 9, **options,
    )  # fmt: skip
    for name, column in made.table.columns.items():
        if isinstance(column, ds.Static):
            made.table.set_column(name, made.table.rows(np.arange(n) * 7919 % N / 100))
    return made


@dataclass
class Step:
    """One step on one rank: ids, their weights, and whether of the hidden pass."""

    epoch: int
    hidden: bool
    ids: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass
class Run:
    """What one rank, or all of them put together, went through."""

    steps: dict[int, Step] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)
    table: dict[str, NDArray[Any]] = field(default_factory=dict)


def _steps(sampler: ds.Sampler) -> Iterator[tuple[bool, NDArray[np.int64]]]:
    epoch = planned(sampler.run)
    for hidden in (False, True):
        if epoch.passes[hidden].used_up:  # or the next epoch would be planned
            continue
        source: Any = sampler.hidden if hidden else sampler
        batches = source.batches(prefetching=True)  # counted, as not all is observed before a save
        for index in batches:
            yield hidden, batches.received(index)


def train(sampler: ds.Sampler, start: int, stop: int, *, late: bool = False) -> Run:
    """Go through the steps [start, stop); with `late`, leave the last one unobserved."""
    run, step = Run(), start
    while step < stop:
        for hidden, index in _steps(sampler):
            weights = np.ones(len(index), np.float32) if hidden else sampler.weights(index)
            run.steps[step] = Step(sampler.epoch, hidden, index, weights)
            if not late or step + 1 < stop:
                sampler.observe(index, **signals(index, step))
            step += 1
            if step == stop:
                break
        run.digests[sampler.epoch] = sampler.plan.digest
        if step < stop:
            sampler.set_epoch(sampler.epoch + 1)
    return run


def finish(sampler: ds.Sampler, run: Run) -> Run:
    """Go to the end of the epoch, fold what was observed, and keep the table."""
    for step, (_, index) in enumerate(_steps(sampler), max(run.steps) + 1):
        sampler.observe(index, **signals(index, step))
    sampler.set_epoch(sampler.epoch + 1)
    run.digests[sampler.epoch] = sampler.plan.digest
    run.table = {name: array.copy() for name, array in sampler.table.state().items()}
    return run


def put_together(runs: list[Run], *, sharded: bool) -> Run:
    """One run out of those of all ranks; padded rows apart."""
    whole = Run(digests=runs[0].digests)
    for step, first in runs[0].steps.items():
        parts = [run.steps[step] for run in runs]
        ids = np.concatenate([part.ids for part in parts])
        weights = np.concatenate([part.weights for part in parts])
        if first.hidden:
            kept = np.sort(np.unique(ids, return_index=True)[1])
        else:
            padded = len(ids) == len(runs) and (weights == 0)
            kept = np.flatnonzero(~np.broadcast_to(padded, ids.shape))
        whole.steps[step] = Step(first.epoch, first.hidden, ids[kept], weights[kept])
    for name, array in runs[0].table.items():
        tables = [run.table[name] for run in runs]
        if not sharded:
            for other in tables:
                np.testing.assert_array_equal(other, array, name)
        whole.table[name] = np.concatenate(tables) if sharded else array
    return whole


def assert_same(run: Run, expected: Run) -> None:
    """Ids, weights, plans and table, to the bit."""
    assert run.steps.keys() <= expected.steps.keys()
    for step, found in run.steps.items():
        wanted = expected.steps[step]
        assert (found.epoch, found.hidden) == (wanted.epoch, wanted.hidden), step
        np.testing.assert_array_equal(found.ids, wanted.ids, f"step {step}")
        np.testing.assert_array_equal(found.weights, wanted.weights, f"step {step}")
    for epoch, digest in run.digests.items():
        assert digest == expected.digests[epoch], epoch
    for name, array in run.table.items():
        np.testing.assert_array_equal(array, expected.table[name], name)


def gathered(group: Group, run: Run) -> list[Run]:
    """Runs of all ranks, on every rank."""
    import pickle

    mine = np.frombuffer(pickle.dumps(run), np.uint8)
    return [pickle.loads(part.tobytes()) for part in group.all_gather(mine, "the runs")]


def shared_folder(group: Group) -> Path:
    """A new folder, the same on every rank."""
    import tempfile

    name = tempfile.mkdtemp() if group.rank == 0 else ""
    parts = group.all_gather(np.frombuffer(name.encode(), np.uint8), "a folder")
    return Path(parts[0].tobytes().decode())


def apart(group: Group) -> Group:
    """The same ranks in a group that a test may break: no other speaks over its communicator."""
    if isinstance(group, SimulatedGroup):
        other = object.__new__(SimulatedGroup)
        vars(other).update(vars(group))
        other._standing = Standing()
        return other
    if isinstance(group, MPIGroup):
        return groups.mpi(group._comm.Dup(), group.time_limit)
    if isinstance(group, TorchGroup):
        import torch.distributed as dist

        return groups.torch(dist.new_group(), group.time_limit)
    return group
