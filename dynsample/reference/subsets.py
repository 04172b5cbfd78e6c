"""Oracles of the policies that keep a part of a subset, or go by scores that were imported."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dynsample.policies import OrderDP
from dynsample.reference import draw
from dynsample.reference.expected import Expected, State, known_rows, lowest, rows_of


def _subset(n: int, k: int, seed: int, epoch: int) -> NDArray[np.bool_]:
    return draw.draw_mask(np.ones(n, np.float32), k, seed=seed, epoch=epoch)


def order_dp(policy: OrderDP, state: State, epoch: int, seed: int) -> Expected:
    """Draw a subset, and hide the lowest losses of it."""
    n = len(state["seen"])
    size = int(policy.random_len_ratio * n)
    subset = _subset(n, size, seed, epoch)
    hidden = lowest(
        state["loss/value"], subset & known_rows(state), size - int(policy.top_q_ratio * size)
    )
    return Expected(sorted([*rows_of(~subset), *hidden]))
