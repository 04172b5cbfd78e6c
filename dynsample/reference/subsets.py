"""Oracles of the policies that keep a part of a subset, or go by scores that were imported."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dynsample.policies import Curriculum, OrderDP, ReducibleLoss, SeTa
from dynsample.policies.seta import ROUNDS
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


def seta(policy: SeTa, state: State, epoch: int, seed: int) -> Expected:
    """Draw a subset, put its losses into strata one by one, and hide those outside the window."""
    n = len(state["seen"])
    subset = _subset(n, int(max(0.1, 1.0 - policy.prune_ratio) * n), seed, epoch)
    if policy.delta < 1 and epoch >= int(policy.delta * (policy.epochs or 0)):
        return Expected(rows_of(~subset))
    loss, known, groups = state["loss/value"], known_rows(state), policy.num_group
    comparable = [i for i in range(n) if subset[i] and known[i] and math.isfinite(loss[i])]
    size = round(groups * policy.window_scale)
    first = epoch % (groups - size + 1)
    window = range(groups) if epoch == 0 else range(first, first + size)
    low = min((float(loss[i]) for i in comparable), default=0.0)
    high = max((float(loss[i]) for i in comparable), default=0.0)
    if len(window) == groups or len(comparable) < groups:
        inside = comparable
    elif low == high:
        drawn = np.zeros(n, np.float32)
        drawn[comparable] = 1
        k = len(comparable) * len(window) // groups
        inside = rows_of(draw.draw_mask(drawn, k, seed=seed, epoch=epoch))
    else:
        strata = _k_means(sorted((float(loss[i]), i) for i in comparable), groups)
        inside = [i for j in window for i in strata[j]]
    outside = set(comparable) - set(inside) if inside else set()
    return Expected(sorted([*rows_of(~subset), *outside]))


def _k_means(losses: list[tuple[float, int]], groups: int) -> list[list[int]]:
    """Return the rows of each stratum, of ascending (loss, row)."""
    n, low, width = len(losses), losses[0][0], (losses[-1][0] - losses[0][0]) / groups
    edges = [
        low + math.sqrt((losses[n * j // groups][0] - low) * width * j) for j in range(1, groups)
    ]
    centres = [low, *edges]
    for _ in range(ROUNDS):
        strata = _cut(losses, edges)
        moved = [
            math.fsum(loss for loss, _ in each) / len(each) if each else old
            for each, old in zip(strata, centres, strict=True)
        ]
        if moved == centres:
            break
        centres = moved
        edges = [(one + other) / 2 for one, other in pairwise(centres)]
    return [[row for _, row in each] for each in _cut(losses, edges)]


def _cut(losses: list[tuple[float, int]], edges: list[float]) -> list[list[tuple[float, int]]]:
    """Put each loss into the stratum that follows the last edge at or below it."""
    strata: list[list[tuple[float, int]]] = [[] for _ in range(len(edges) + 1)]
    for loss, row in losses:
        strata[sum(loss >= edge for edge in edges)].append((loss, row))
    return strata


def curriculum(policy: Curriculum, state: State, epoch: int, seed: int) -> Expected:
    """Hide the most difficult, seen or not; of equals the smaller index."""
    difficulty = state["difficulty/value"]
    n = len(difficulty)
    return Expected(lowest(-difficulty, np.ones(n, np.bool_), n - int(policy.pace(epoch) * n)))


def reducible_loss(policy: ReducibleLoss, state: State, epoch: int, seed: int) -> Expected:
    """Hide the lowest differences, each rounded to float32."""
    with np.errstate(invalid="ignore", over="ignore"):
        reducible = state["loss/value"] - state["reference_loss/value"]
    hidden = lowest(reducible, known_rows(state), int(policy.fraction * len(reducible)))
    return Expected(hidden, refresh=epoch % policy.refresh_every == 0)


def hardest(
    losses: NDArray[np.float32], k: int, reference: NDArray[np.float32] | None = None
) -> list[int]:
    """Sort the places of a batch by loss, or what is left above a reference: NaN, then highest."""
    with np.errstate(invalid="ignore", over="ignore"):
        values = losses if reference is None else losses - reference
    nan = [i for i in range(len(values)) if math.isnan(values[i])]
    others = sorted(set(range(len(values))) - set(nan), key=lambda i: (-float(values[i]), i))
    return [*nan, *others][:k]
