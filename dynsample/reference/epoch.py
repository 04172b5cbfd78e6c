"""Oracle of an epoch: from everything that was observed to what the epoch must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.policies.base import Policy
from dynsample.reference.fold import fold
from dynsample.reference.policies import Expected, expect

Observation = tuple[NDArray[Any], dict[str, NDArray[Any]]]


def state_from_observations(
    policy: Policy, num_samples: int, epochs: Sequence[Iterable[Observation]]
) -> dict[str, NDArray[Any]]:
    """Fold the recorded observations of epochs 0, 1, ... into a table's state, one by one.

    Parameters
    ----------
    policy : Policy
        Its columns are kept.
    num_samples : int
    epochs : sequence of iterables of (index, {signal: values})
        The batches of each epoch in call order, those of hidden samples among them.
    """
    columns = dict(policy.columns)
    parts = {name: column.allocate(num_samples) for name, column in columns.items()}
    seen = np.zeros(num_samples, np.bool_)
    for epoch, batches in enumerate(epochs):
        for index, signals in batches:
            values = {name: np.asarray(v, np.float32).reshape(-1) for name, v in signals.items()}
            fold(np.asarray(index), values, columns, parts, seen, epoch=epoch)
    flat = {f"{name}/{part}": a for name, arrays in parts.items() for part, a in arrays.items()}
    return {**flat, "seen": seen}


def plan_from_observations(
    policy: Policy, num_samples: int, epochs: Sequence[Iterable[Observation]], *, seed: int
) -> Expected:
    """Return what epoch len(epochs) must be, by the reference; see `state_from_observations`.

    The order of the epoch is `permute` of `dynsample.reference.permute` over the kept ids.
    """
    state = state_from_observations(policy, num_samples, epochs)
    return expect(policy, state, len(epochs), seed)
