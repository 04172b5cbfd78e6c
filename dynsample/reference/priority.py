"""Oracle of the priority tree: cumulative sums and a search, on the same integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core


def units(priorities: NDArray[np.float32], unit: float) -> list[int]:
    """Round priorities to units; a positive one is at least one."""
    return [max(int(p / unit + 0.5), int(p > 0)) for p in priorities.tolist()]


def draw(leaves: list[int], k: int, *, seed: int, step: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Do what `PriorityTree.draw` does, in Python's integers."""
    words = _core.philox(seed, 0, (k + 1) // 2, step, _core.Stream.TREE).view(np.uint64).tolist()
    total = sum(leaves)
    targets = [((j << 64) + words[j]) * total // (k << 64) for j in range(k)]
    index = np.searchsorted(np.cumsum(leaves), targets, side="right").astype(np.int64)
    return index, np.array([float(leaves[i]) / float(total) for i in index], np.float32)
