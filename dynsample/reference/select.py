"""Oracles of the order, the selection, the id lists and the exact sum: slow and obvious."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


def order_key(values: Floats) -> NDArray[np.uint32]:
    """Keys of csrc/core/order_key.h: float32[N] -> uint32[N]."""
    bits = values.view(np.uint32).astype(np.int64)
    magnitude = bits & 0x7FFFFFFF
    key = 2**31 + np.where(bits >> 31, -magnitude, magnitude)
    return np.where(np.isnan(values), 0xFFC00000, key).astype(np.uint32)


def _where(values: Floats, where: Mask | None, finite_only: bool) -> Mask:
    rows = np.ones(len(values), bool) if where is None else where.copy()
    return rows & np.isfinite(values) if finite_only else rows


def hide_lowest(
    scores: Floats, k: int, eligible: Mask | None = None, finite_only: bool = False
) -> Mask:
    """Mask of the k lowest (key, index) among the eligible."""
    ids = np.flatnonzero(_where(scores, eligible, finite_only))
    lowest = ids[np.argsort(order_key(scores[ids]), kind="stable")[:k]]
    hidden = np.zeros(len(scores), bool)
    hidden[lowest] = True
    return hidden


def exact_mean(values: Floats, where: Mask | None = None, finite_only: bool = False) -> float:
    """math.fsum over the count; NaN and infinities as in numpy."""
    rows = values[_where(values, where, finite_only)]
    if len(rows) == 0:
        return math.nan
    if not np.isfinite(rows).all():
        with np.errstate(invalid="ignore"):
            return float(rows[~np.isfinite(rows)].sum())
    return math.fsum(rows.tolist()) / len(rows)


def min_max(
    values: Floats, where: Mask | None = None, finite_only: bool = False
) -> tuple[float, float]:
    """Numpy's min and max; NaN for no rows."""
    rows = values[_where(values, where, finite_only)]
    return (float(rows.min()), float(rows.max())) if len(rows) else (math.nan, math.nan)


def mask_ids(mask: Mask, invert: bool = False) -> NDArray[np.uint32]:
    """Numpy's flatnonzero."""
    return np.flatnonzero(~mask if invert else mask).astype(np.uint32)
