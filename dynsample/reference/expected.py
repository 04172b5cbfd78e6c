"""What an oracle of a policy says, and what it reads of a table's state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

State = Mapping[str, NDArray[Any]]


@dataclass
class Expected:
    """What an epoch must be: hidden rows, counts (with replacement), weights, learning rate."""

    hidden: list[int]
    counts: list[int] | None = None
    weights: list[float] | None = None
    lr_scale: float = 1.0
    refresh: bool = False


def lowest(values: NDArray[Any], seen: NDArray[np.bool_], k: int) -> list[int]:
    """Return the k rows of the lowest finite values among the seen, ties to the smaller index."""
    rows = [i for i in range(len(values)) if seen[i] and math.isfinite(values[i])]
    return sorted(sorted(rows, key=lambda i: (float(values[i]), i))[:k])


def rows_of(mask: NDArray[np.bool_] | list[bool]) -> list[int]:
    """Return the rows that are set."""
    return [i for i, is_set in enumerate(mask) if is_set]


def known_rows(state: State) -> NDArray[np.bool_]:
    """Mark the rows that were observed or imported."""
    return state.get("known", state["seen"])
