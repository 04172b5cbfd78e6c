"""Histograms of scores with a fixed number of bins, exact and the same at any number of ranks."""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from dynsample.groups import Group
from dynsample.table.table import ScoreTable

BINS = 64
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_UNIT = ("correct", "confidence")
_SIGNED = ("margin",)
_INFINITY = 0xFF80  # high half of its key; above are those of rows that do not count
_OCTAVES = 16  # to either side of 1


class Histogram(TypedDict):
    """Counts of a column's values; see `histogram`."""

    scale: str
    edges: list[float]
    counts: list[int]
    quantiles: list[float] | None
    min: float | None
    max: float | None


def histogram(table: ScoreTable, name: str, group: Group) -> Histogram:
    """Count the seen, finite values of a column; collective where the table is sharded.

    The kernels count by the high half of a score's key, which is exact. All edges and quantiles
    are numbers that such a half begins with (8 bits of mantissa), so that counts between edges are
    exact too, and quantiles are at most 1 part in 128 too small.

    Returns
    -------
    dict
        `edges` float[BINS + 1] and `counts` int[BINS]: values in [edges[i], edges[i + 1]), and in
        the first and last bin also those beyond. `scale` is "unit", "octaves" or "linear",
        `quantiles` float[5] at `QUANTILES`; these, `min` and `max` are None without values.
    """
    values, what = table[name], f"the histogram of {name}"
    halves = group.sum(table.arrays.candidates(values, table.seen).histogram(), what)
    below = np.concatenate([[0], np.cumsum(halves[:_INFINITY], dtype=np.int64)])
    low, high = table.min_max(values, table.seen)
    scale, edges = bin_edges(name, low, high)
    inner = below[_half(edges[1:-1])]
    total = int(below[-1])
    return {
        "scale": scale,
        "edges": edges.tolist(),
        "counts": np.diff(np.concatenate([[0], inner, [total]])).tolist(),
        "quantiles": _quantiles(below) if total else None,
        "min": low if total else None,
        "max": high if total else None,
    }


def bin_edges(name: str, low: float, high: float) -> tuple[str, NDArray[np.float32]]:
    """Choose edges by the name and the range, so that they seldom change between epochs.

    Shares of 1 are cut evenly, other values from 0 on by half octaves; what can be negative is cut
    evenly up to a power of two.
    """
    if name in _UNIT:
        return "unit", np.linspace(0, 1, BINS + 1, dtype=np.float32)
    if not low < 0 and name not in _SIGNED:
        octaves = np.float32(2) ** np.arange(-_OCTAVES, _OCTAVES + 1, dtype=np.float32)
        edges = np.stack([octaves, octaves * np.float32(1.5)], axis=1).ravel()[: BINS + 1]
        edges[0] = 0
        return "octaves", edges
    largest = max(-low, high, 2.0**-_OCTAVES) if low <= high else 1.0
    most = 2.0 ** min(math.ceil(math.log2(largest)), 127)
    return "linear", np.linspace(-most, most, BINS + 1).astype(np.float32)


def _half(edges: NDArray[np.float32]) -> NDArray[np.int64]:
    """High halves of the keys in csrc/core/order_key.h, of numbers whose low half is 0."""
    bits = edges.view(np.uint32).astype(np.int64)
    magnitude = bits & 0x7FFFFFFF
    return (0x80000000 + np.where(bits >> 31, -magnitude, magnitude)) >> 16


def _quantiles(below: NDArray[np.int64]) -> list[float]:
    places = [math.ceil(share * int(below[-1])) for share in QUANTILES]
    keys = np.searchsorted(below[1:], np.maximum(places, 1)) << 16
    signed = keys - 0x80000000
    bits = np.where(signed < 0, -signed | 0x80000000, signed).astype(np.uint32)
    lowest: list[float] = bits.view(np.float32).tolist()
    return lowest
