"""Oracle of IES: one sample at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def is_mastered(losses: Sequence[np.float32], window: int, delta: float) -> bool:
    """Whether the mean size of the last `window` second differences is below `delta`.

    `losses` are the last `window` + 2, the latest first, NaN where there were fewer; those of 2^100
    and above count as infinite. The arithmetic is float32, the comparison exact.
    """
    if not all(math.isfinite(loss) and abs(loss) < 2.0**100 for loss in losses):
        return False
    total = np.float32(0)
    for new, middle, old in zip(losses[:-2], losses[1:-1], losses[2:], strict=True):
        total += abs((new - middle) - (middle - old))
    return float(total / np.float32(window)) < delta
