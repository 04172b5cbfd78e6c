"""Oracles of the policies that go by groups, by ranks, or by what was issued: one row at a time.

As those of `policies.py`. Groups of the rows are in the state as 'groups'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from dynsample.policies import AFSS, ClassBudget, GroupDRO, ReplayPriority
from dynsample.reference import draw, groups
from dynsample.reference.expected import Expected, State, known_rows

F32 = np.float32


def _exp(values: list[np.float32]) -> NDArray[np.float32]:
    return np.array([draw.exp_of(float(value)) for value in values], np.float64).astype(F32)


def shares(total: int, weights: Sequence[float], sizes: Sequence[int]) -> list[int]:
    """Fill classes in the order in which they would be full; the rest by weights, floors first."""
    ratio = {j: Fraction(w) / n for j, (w, n) in enumerate(zip(weights, sizes, strict=True)) if n}
    order = sorted(ratio, key=lambda j: -ratio[j])
    for count in range(len(order) + 1):
        full, others = order[:count], order[count:]
        left = total - sum(sizes[j] for j in full)
        weight = {j: Fraction(weights[j]) for j in others}
        if not any(weight.values()):
            weight = {j: Fraction(sizes[j]) for j in others}
        part = {j: left * weight[j] / sum(weight.values()) for j in others}
        if all(part[j] < sizes[j] for j in others):
            break
    taken = [sizes[j] if j in full else math.floor(part.get(j, 0)) for j in range(len(sizes))]
    for j in sorted(others, key=lambda j: (taken[j] - part[j], j))[: total - sum(taken)]:
        taken[j] += 1
    return taken


def class_budget(policy: ClassBudget, state: State, epoch: int, seed: int) -> Expected:
    """Draw the shares of the classes, in each by exp((loss - threshold) / beta)."""
    losses, known, labels = state["loss/value"], known_rows(state), state["groups"]
    n, num_groups = len(losses), int(labels.max(initial=-1)) + 1
    most = policy.clipping_threshold
    most = math.log(max(num_groups, 1)) if most is None else most
    clipped = np.array([x if not math.isfinite(x) else min(max(x, F32(0)), F32(most))
                        for x in losses], F32)  # fmt: skip
    finite = [known[row] and math.isfinite(clipped[row]) for row in range(n)]
    hidden = int(policy.fraction * n)
    if not hidden or not any(finite):
        return Expected([])
    sizes = [len(groups.members(labels, group)) for group in range(num_groups)]
    means = groups.mean(clipped, known, labels, num_groups)
    means = [most if math.isnan(mean) else mean for mean in means]
    weights = [math.sqrt(mean * size / n) for mean, size in zip(means, sizes, strict=True)]
    p = _exp([(x - F32(most)) / F32(policy.beta) for x in clipped]) + F32(2.0**-126)
    p = np.where(finite, p, F32(np.nan))
    ks = shares(n - hidden, weights, sizes)
    drawn = groups.draw(p, labels, ks, seed=seed, epoch=epoch)
    return Expected(np.flatnonzero(~drawn).tolist())


def group_dro(policy: GroupDRO, state: State, epoch: int, seed: int) -> Expected:
    """Draw each row by the softmax of its group's mean loss, over the size of the group."""
    losses, labels = state["loss/value"], state["groups"]
    num_groups = int(labels.max(initial=-1)) + 1
    means = groups.mean(losses, known_rows(state), labels, num_groups)
    if all(math.isnan(mean) for mean in means):
        return Expected([])
    highest = F32(max(mean for mean in means if not math.isnan(mean)))
    below = [(F32(means[g]) - highest) / F32(policy.temperature) for g in labels]
    sizes = np.array([len(groups.members(labels, g)) for g in labels], F32)
    p: NDArray[np.float32] = _exp(below) / sizes
    k = len(losses) if policy.num_draws is None else policy.num_draws
    return Expected([], draw.draw_counts(p, k, seed=seed, epoch=epoch).tolist())


def _sampled(rows: list[int], n: int, k: int, seed: int, epoch: int) -> list[int]:
    chances = np.isin(np.arange(n), rows).astype(F32)
    mask = draw.draw_mask(chances, k, seed=seed, epoch=epoch)
    return [row for row in range(n) if mask[row]]


def afss(policy: AFSS, state: State, epoch: int, seed: int) -> Expected:
    """Sort the rows into three levels, and take of two of them what is due and some at random."""
    last = state["issued/last_epoch"]
    n, easy, moderate = len(last), [], []
    for row in range(n):
        signals = [state[f"{name}/value"][row] for name in policy.signals]
        if not all(math.isfinite(signal) for signal in signals):
            continue
        if min(signals) > F32(policy.easy):
            easy.append(row)
        elif min(signals) >= F32(policy.moderate):
            moderate.append(row)
    unused = {row: epoch - 1 - int(last[row]) for row in range(n)}
    due = [row for row in easy if unused[row] >= policy.easy_interval]
    reviewed = int(policy.easy_fraction * len(easy))
    kept = sorted(due, key=lambda row: (-unused[row], row))[: int(0.5 * reviewed)]
    rest = [row for row in easy if row not in kept]
    kept = kept + _sampled(rest, n, reviewed - len(kept), seed, epoch)
    overdue = [row for row in moderate if unused[row] >= policy.moderate_interval]
    rest = [row for row in moderate if row not in overdue]
    more = max(int(policy.moderate_fraction * len(moderate)) - len(overdue), 0)
    kept = kept + overdue + _sampled(rest, n, more, seed, epoch)
    hidden = sorted({*easy, *moderate} - {*kept})
    return Expected(hidden, refresh=epoch % policy.refresh_every == 0)


def replay_priority(policy: ReplayPriority, state: State, epoch: int, seed: int) -> Expected:
    """Mix the powers of ranks with staleness, each over its mean, in float32."""
    score, known = state[f"{policy.signal}/value"], known_rows(state)
    positions, n = groups.ranks(score, known), len(score)
    ranked = [row for row in range(n) if positions[row] >= 0]
    if not ranked:
        return Expected([])
    rank = np.array([len(ranked) - positions[row] for row in ranked], F32)
    powers = draw.power(rank, -1.0 / policy.temperature)
    stale = np.array([max(epoch - int(state["issued/last_epoch"][r]), 0) for r in ranked], F32)
    p = powers
    if policy.rho and stale.any():
        scaled = powers / F32(math.fsum(map(float, powers)) / len(ranked))
        staleness = stale / F32(math.fsum(map(float, stale)) / len(ranked))
        p = scaled * F32(1.0 - policy.rho) + staleness * F32(policy.rho)
    everywhere = np.full(n, np.nan, F32)
    everywhere[ranked] = p
    k = n if policy.num_draws is None else policy.num_draws
    if not policy.replacement:
        drawn = draw.draw_mask(everywhere, k, seed=seed, epoch=epoch)
        return Expected(np.flatnonzero(~drawn).tolist())
    return Expected([], draw.draw_counts(everywhere, k, seed=seed, epoch=epoch).tolist())
