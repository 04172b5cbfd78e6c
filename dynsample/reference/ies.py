"""Oracle of IES: one sample at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dynsample.policies import IES
from dynsample.reference.expected import Expected, State, known_rows


def ies(policy: IES, state: State, epoch: int, seed: int) -> Expected:
    """Hide what is mastered, from the end of the warm-up on."""
    if epoch < policy.warmup_epochs:
        return Expected([])
    rows = zip(state["losses/values"], known_rows(state), strict=True)
    hidden = [i for i, (losses, known) in enumerate(rows) if known and _is_mastered(losses, policy)]
    return Expected(hidden, refresh=epoch % policy.refresh_every == 0)


def _is_mastered(losses: Sequence[np.float32], policy: IES) -> bool:
    """Whether the mean size of the second differences is below delta; the latest loss is first."""
    if not all(math.isfinite(loss) for loss in losses):
        return False
    total = np.float32(0)
    with np.errstate(over="ignore"):
        for new, middle, old in zip(losses[:-2], losses[1:-1], losses[2:], strict=True):
            total += abs((new - middle) - (middle - old))
    return float(total / np.float32(policy.window)) < policy.delta
