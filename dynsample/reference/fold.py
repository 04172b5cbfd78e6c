"""Oracle of the fold: one observation at a time, row by row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.reference.scores import uncertainty
from dynsample.table.columns import (
    EMA,
    KINDS,
    Column,
    Last,
    Max,
    Mean,
    Transitions,
    Uncertainty,
    Window,
)
from dynsample.table.log import HostParts


def fold(
    index: NDArray[Any],
    signals: Mapping[str, NDArray[np.float32]],
    columns: Mapping[str, Column],
    parts: HostParts,
    seen: NDArray[np.bool_],
    *,
    epoch: int,
    tickets: NDArray[np.int64] | None = None,
) -> None:
    """Do what `dynsample.table.log.fold` does, from plain arrays."""
    observations = defaultdict(list)
    for place, row in enumerate(index):
        ticket = place if tickets is None else int(tickets[place])
        if ticket >= 0:
            observations[int(row)].append((ticket, place))
    for row, places in observations.items():
        for _, place in sorted(places):
            seen[row] = True
            for name, column in columns.items():
                if column.observed and (column.until is None or epoch < column.until):
                    _update(column, parts[name], row, signals[column.signal or name][place])


def _update(column: Column, parts: Mapping[str, NDArray[Any]], row: int, x: np.float32) -> None:
    with np.errstate(all="ignore"):
        if isinstance(column, Last):
            parts["value"][row] = x
        elif isinstance(column, EMA):
            old = parts["value"][row]
            step = np.float32(1.0 - column.decay)
            parts["value"][row] = x if np.isnan(old) else old + step * (x - old)
        elif isinstance(column, Mean):
            parts["sum"][row] += np.float64(x)
            parts["count"][row] += 1
        elif isinstance(column, Max):
            if not np.isnan(x) and not x <= parts["value"][row]:
                parts["value"][row] = x + np.float32(0)  # of either zero +0
        elif isinstance(column, Window):
            parts["values"][row, parts["count"][row] % column.size] = x
            parts["count"][row] += 1
        elif isinstance(column, Uncertainty):
            window = parts["values"][row]
            if parts["count"][row] >= column.size:
                parts["sum"][row] += uncertainty(window)
            window[parts["count"][row] % column.size] = x
            parts["count"][row] += 1
        elif isinstance(column, Transitions):
            correct = bool(x > 0)
            parts["transitions"][row] += parts["previous"][row] and not correct
            parts["previous"][row] = correct
            parts["ever_correct"][row] |= correct
            parts["presentations"][row] += 1
        else:
            raise TypeError(f"no update rule for {type(column).__name__}")


def of_every_kind(signal: str, size: int) -> dict[str, Column]:
    """Make a column of every kind that is observed, under its name, to compare folds on."""
    columns = {}
    for kind in (kind for kind in KINDS if kind.observed):
        options: dict[str, Any] = {"size": size} if "size" in kind.__dataclass_fields__ else {}
        columns[kind.kind] = kind(signal=signal, **options)
    return columns


def match(issued: list[int], observed: list[int]) -> list[int]:
    """Place in `issued` of each observation: the i-th of a row is of its i-th issue; else -1."""
    left = defaultdict(list)
    for place, row in enumerate(issued):
        left[row].append(place)
    return [left[row].pop(0) if left[row] else -1 for row in observed]
