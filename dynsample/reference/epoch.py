"""Oracle of an epoch: what it must be, and what is left of one that others hand out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.policies.base import Policy
from dynsample.reference.expected import Expected
from dynsample.reference.fold import fold
from dynsample.reference.policies import expect

Observation = tuple[NDArray[Any], dict[str, NDArray[Any]]]


class ExternalEpoch:
    """An epoch that others hand out: any rank observes any id, as often as it likes.

    Parameters
    ----------
    order : sequence of int
        Ids by position, those of the hidden pass behind the others.

    Attributes
    ----------
    taken : dict of int to float
        What was observed of a position, of those settled when the epoch was saved.
    surplus : int
        Observations beyond what the epoch holds, of those settled.
    """

    def __init__(self, order: Sequence[int]) -> None:
        self.order = [int(one) for one in order]
        self.taken: dict[int, float] = {}
        self.surplus = 0
        self._log: list[tuple[int, int, int, float]] = []  # number on its rank, rank, id, value

    def observe(self, rank: int, ids: Iterable[int], values: Iterable[float]) -> None:
        """Note what a rank observes."""
        for one, value in zip(ids, values, strict=True):
            number = sum(other == rank for _, other, _, _ in self._log)
            self._log.append((number, rank, int(one), value))

    def settled(self) -> ExternalEpoch:
        """Give each observation the first free position of its id, the earliest one first."""
        result = ExternalEpoch(self.order)
        result.taken, result.surplus = dict(self.taken), self.surplus
        for _, _, one, value in sorted(self._log, key=lambda each: each[:2]):
            places = [place for place, other in enumerate(self.order) if other == one]
            free = [place for place in places if place not in result.taken]
            if free:
                result.taken[free[0]] = value
            else:
                result.surplus += 1
        return result

    def left(self) -> list[int]:
        """Return the ids of the positions that were not observed, in order."""
        taken = self.settled().taken
        return [one for place, one in enumerate(self.order) if place not in taken]


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
