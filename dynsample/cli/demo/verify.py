"""Recompute what a run was told from what it reported, with the slow reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dynsample as ds
from dynsample.cli.experiment.rows import HideHardest, ScaledRandomSubset
from dynsample.kernels.convert import host
from dynsample.policies.base import Policy
from dynsample.reference.expected import Expected, State, lowest
from dynsample.reference.fold import fold
from dynsample.reference.permute import permute
from dynsample.reference.policies import expect

Observation = tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]


@dataclass
class Epoch:
    """What an epoch held, and what was observed in it, in call order."""

    number: int
    hidden: NDArray[np.int64]
    order: NDArray[np.int64]
    weights: NDArray[np.float32]
    observations: list[Observation] = field(default_factory=list)


class RecordingSampler(ds.Sampler):
    """A sampler that keeps every plan and every observation."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.epochs: list[Epoch] = []

    def set_epoch(self, epoch: int, *, restart: bool = False) -> None:
        """Plan, and keep what was planned."""
        super().set_epoch(epoch, restart=restart)
        given = host(self.plan.weights)
        weights = np.ones(self.num_samples, np.float32) if given is None else given
        self.epochs.append(Epoch(epoch, self.plan.hidden, self.plan.order, weights))

    def observe(  # type: ignore[override]  # the demo's samples have no keys
        self, index: Any, *, logits: Any = None, targets: Any = None, **signals: Any
    ) -> None:
        """Keep the signals and report them."""
        logits = logits.detach()
        signals = {
            "loss": ds.signals.loss(logits, targets),
            "correct": ds.signals.correct(logits, targets),
            "confidence": ds.signals.confidence(logits, targets),
        }
        kept = {name: value.numpy().astype(np.float32) for name, value in signals.items()}
        self.epochs[-1].observations.append((index.numpy().copy(), kept))
        super().observe(index, **signals)


class Recorder:
    """Makes a RecordingSampler and keeps hold of it."""

    def __call__(self, *args: Any, **options: Any) -> RecordingSampler:
        """Make the sampler of a run."""
        self.sampler = RecordingSampler(*args, **options)
        return self.sampler


@dataclass
class Check:
    """What the comparison of one run found."""

    policy: str
    seed: int
    epochs: int = 0
    compared: int = 0
    differences: int = 0
    lines: list[str] = field(default_factory=list)

    def compare(self, epoch: int, what: str, got: NDArray[Any], expected: NDArray[Any]) -> None:
        """Count the entries that differ; all of them when there are more or fewer."""
        self.compared += len(expected)
        same = len(got) == len(expected)
        differing = int(np.count_nonzero(got != expected)) if same else max(len(got), len(expected))
        if differing:
            self.differences += differing
            self.lines.append(f"epoch {epoch}: {differing} of {len(expected)} {what} differ")


def verify(
    name: str, policy: Policy, num_samples: int, seed: int, epochs: Sequence[Epoch]
) -> Check:
    """Compare every epoch of a run with what the reference makes of the observations before it."""
    check = Check(name, seed, len(epochs))
    columns = dict(policy.columns)
    parts = {column: rule.allocate(num_samples) for column, rule in columns.items()}
    seen = np.zeros(num_samples, np.bool_)
    ids = np.arange(num_samples)
    for epoch in epochs:
        state = {f"{c}/{part}": values for c in parts for part, values in parts[c].items()}
        expected = _expect(policy, {**state, "seen": seen}, epoch.number, seed)
        hidden = np.isin(ids, expected.hidden)
        members = ids[~hidden] if expected.counts is None else np.repeat(ids, expected.counts)
        order = members[permute(len(members), seed=seed, epoch=epoch.number)]
        weights = np.ones(num_samples) if expected.weights is None else expected.weights
        check.compare(epoch.number, "hidden flags", np.isin(ids, epoch.hidden), hidden)
        check.compare(epoch.number, "weights", epoch.weights, np.asarray(weights, np.float32))
        check.compare(epoch.number, "positions", epoch.order, order)
        for index, signals in epoch.observations:
            fold(index, signals, columns, parts, seen, epoch=epoch.number)
    return check


def _expect(policy: Policy, state: State, epoch: int, seed: int) -> Expected:
    """Ask the reference what it makes of a table; for the demo's own controls as well."""
    if isinstance(policy, ScaledRandomSubset):
        return expect(ds.RandomSubset(policy.fraction), state, epoch, seed)
    if isinstance(policy, HideHardest):
        k = int(policy.fraction * len(state["seen"])) if epoch else 0
        return Expected(lowest(-state["loss/value"], state["seen"], k))
    return expect(policy, state, epoch, seed)
