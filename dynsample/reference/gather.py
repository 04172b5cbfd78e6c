"""Rows of several columns, gathered one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def gather_rows(columns: Sequence[NDArray[Any]], index: NDArray[np.int64]) -> list[NDArray[Any]]:
    """Rows `index` of every column."""
    if not columns:
        return []
    if len(index) and not (index.min() >= 0 and index.max() < len(columns[0])):
        raise IndexError(f"index must hold rows in [0, {len(columns[0])})")
    return [column[index] for column in columns]
