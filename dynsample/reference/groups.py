"""Oracles of what is done by group, and of ranks: one group, and one row, at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dynsample.reference.draw import race_keys
from dynsample.reference.select import order_key

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


def members(labels: Sequence[int] | NDArray[np.integer], group: int) -> list[int]:
    """Return the rows of a group, ascending."""
    return [row for row, label in enumerate(labels) if label == group]


def mean(values: Floats, where: Mask, labels: NDArray[np.integer], num_groups: int) -> list[float]:
    """Return the exact mean of the finite values of each group; nan for none."""
    means = []
    for group in range(num_groups):
        rows = [r for r in members(labels, group) if where[r] and math.isfinite(values[r])]
        total = math.fsum(float(values[row]) for row in rows)
        means.append(total / len(rows) if rows else math.nan)
    return means


def hide_lowest(
    values: Floats, where: Mask, labels: NDArray[np.integer], ks: Sequence[int]
) -> Mask:
    """Mark the k lowest finite values of each group, ties to the lower rows."""
    keys, mask = order_key(values), np.zeros(len(values), np.bool_)
    for group, k in enumerate(ks):
        rows = [r for r in members(labels, group) if where[r] and math.isfinite(values[r])]
        mask[sorted(rows, key=lambda row: (keys[row], row))[:k]] = True
    return mask


def draw(
    probabilities: Floats, labels: NDArray[np.integer], ks: Sequence[int], *, seed: int, epoch: int
) -> Mask:
    """Take the k rows of each group with the smallest keys of one race of all rows."""
    keys, mask = race_keys(probabilities, seed, epoch), np.zeros(len(probabilities), np.bool_)
    for group, k in enumerate(ks):
        rows = sorted(members(labels, group), key=lambda row: (keys[row], row))
        mask[rows[:k]] = True
    return mask


def ranks(values: Floats, where: Mask) -> list[int]:
    """Return the position of each finite row in ascending order, -1 for the others."""
    keys = order_key(values)
    rows = [row for row in range(len(values)) if where[row] and math.isfinite(values[row])]
    positions = [-1] * len(values)
    for position, row in enumerate(sorted(rows, key=lambda row: (keys[row], row))):
        positions[row] = position
    return positions
