"""Oracle of the policies: one plain function each, from recorded columns to what is selected.

`state` is what `ScoreTable.state()` gives: 'column/part', 'seen' and 'known' by name. Where it has
no 'known', that is 'seen'.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample._core import Stream
from dynsample.policies import (
    AFSS,
    IES,
    ClassBudget,
    Curriculum,
    Forgetting,
    GroupDRO,
    ImportanceSampling,
    InfoBatch,
    Kakurenbo,
    OrderDP,
    PassRate,
    RandomSubset,
    ReducibleLoss,
    ReplayPriority,
    SelectiveBackprop,
    SeTa,
    Uniform,
    WeightedRandom,
)
from dynsample.policies.base import Policy
from dynsample.reference import draw, group_policies, permute, prompts, subsets
from dynsample.reference.expected import Expected, State, known_rows, lowest, rows_of
from dynsample.reference.ies import is_mastered


def expect(policy: Policy, state: State, epoch: int, seed: int) -> Expected:
    """Return what `policy` must select from a table of this content."""
    rule: Callable[..., Expected] = _RULES[type(policy)]
    return rule(policy, state, epoch, seed)


def _finite(values: NDArray[Any], seen: NDArray[np.bool_]) -> list[float]:
    return [float(v) for v, s in zip(values, seen, strict=True) if s and math.isfinite(v)]


def uniform(policy: Uniform, state: State, epoch: int, seed: int) -> Expected:
    """Everything."""
    return Expected([])


def random_subset(policy: RandomSubset, state: State, epoch: int, seed: int) -> Expected:
    """Fresh, or the epoch's stretch around the round's permutation."""
    n = len(state["seen"])
    hidden = int(policy.fraction * n)
    kept = n - hidden
    if hidden == 0:
        return Expected([])
    if policy.replacement:
        drawn = draw.draw_mask(np.ones(n, np.float32), kept, seed=seed, epoch=epoch)
        return Expected(rows_of(~drawn))
    in_round = math.ceil(n / min(kept, hidden))
    order = permute.permute(n, seed=seed, epoch=epoch // in_round, stream=Stream.WALK).tolist()
    first = (epoch % in_round) * kept
    stretch = {order[(first + j) % n] for j in range(kept)}
    return Expected([i for i in range(n) if i not in stretch])


def kakurenbo(policy: Kakurenbo, state: State, epoch: int, seed: int) -> Expected:
    """Lowest losses, less those not predicted surely."""
    n = len(state["seen"])
    fraction = policy.fraction * (policy.schedule(epoch) if policy.schedule else 1.0)
    hidden = []
    if epoch > 0:
        for i in lowest(state["loss/value"], known_rows(state), int(fraction * n)):
            if state["correct/value"][i] > 0 and float(state["confidence/value"][i]) >= np.float32(
                policy.tau
            ):
                hidden.append(i)
    if policy.lr == "realised":
        fraction = len(hidden) / n if n else 0.0
    return Expected(
        hidden,
        lr_scale=1.0 if epoch < policy.warmup_epochs else 1 / (1 - fraction),
        refresh=epoch % policy.refresh_every == 0,
    )


def info_batch(policy: InfoBatch, state: State, epoch: int, seed: int) -> Expected:
    """Hide a random part of what lies below the mean, weigh up the rest of it."""
    if policy.delta < 1 and epoch >= int(policy.delta * (policy.epochs or 0)):
        return Expected([])
    losses, known = state["loss/value"], known_rows(state)
    finite = _finite(losses, known)
    if not finite:
        return Expected([])
    mean = math.fsum(finite) / len(finite)
    well = [
        bool(k) and math.isfinite(x) and float(x) < mean for k, x in zip(known, losses, strict=True)
    ]
    kept = int((1 - policy.ratio) * sum(well))
    if kept in (0, sum(well)):
        return Expected([])
    drawn = draw.draw_mask(np.array(well, np.float32), kept, seed=seed, epoch=epoch)
    weights = [float(np.float32(sum(well) / kept)) if w else 1.0 for w in well]
    return Expected([i for i in rows_of(well) if not drawn[i]], weights=weights)


def _drawn(
    probabilities: NDArray[np.float32],
    policy: ImportanceSampling | WeightedRandom,
    epoch: int,
    seed: int,
    correct: bool = False,
) -> Expected:
    n = len(probabilities)
    k = n if policy.num_draws is None else policy.num_draws
    if not np.isfinite(probabilities).any():
        probabilities = np.ones(n, np.float32)
    if not policy.replacement:
        return Expected(rows_of(~draw.draw_mask(probabilities, k, seed=seed, epoch=epoch)))
    counts = draw.draw_counts(probabilities, k, seed=seed, epoch=epoch)
    weights = draw.inverse_probabilities(probabilities, k).tolist() if correct else None
    return Expected([], counts=counts.tolist(), weights=weights)


def weighted_random(policy: WeightedRandom, state: State, epoch: int, seed: int) -> Expected:
    """Draw by a fixed array, or by a column; a callable has no oracle."""
    source = policy.probabilities
    if isinstance(source, str):
        source = np.where(known_rows(state), state[f"{source}/value"], np.float32(np.nan))
    return _drawn(source, policy, epoch, seed)


def importance_sampling(
    policy: ImportanceSampling, state: State, epoch: int, seed: int
) -> Expected:
    """Draw by the last loss: scaled, raised to a power, mixed with uniform, each in float32."""
    losses = np.where(known_rows(state), state["loss/value"], np.float32(np.nan))
    finite = _finite(losses, known_rows(state))
    if not finite or max(finite) <= 0:
        return Expected([])
    p = losses
    if policy.temperature != 1:
        p = draw.power(p / np.float32(max(finite)), 1 / policy.temperature)
    if policy.smoothing:
        shares = _finite(p, known_rows(state))
        mean = np.float32(math.fsum(shares) / len(shares))
        p = p / mean * np.float32(1 - policy.smoothing) + np.float32(policy.smoothing)
    return _drawn(p, policy, epoch, seed, policy.correct_bias)


def selective_backprop(policy: SelectiveBackprop, state: State, epoch: int, seed: int) -> Expected:
    """Toss a coin for every sample, biased by the share of losses up to its own."""
    kept = draw.bernoulli_cdf(
        state["loss/value"], policy.beta, seed=seed, epoch=epoch, where=known_rows(state)
    )
    return Expected(rows_of(~kept), refresh=epoch % policy.refresh_every == 0)


def forgetting(policy: Forgetting, state: State, epoch: int, seed: int) -> Expected:
    """Fewest forgetting events."""
    if epoch < policy.static_epochs:
        return Expected([])
    scores = []
    for i in range(len(state["seen"])):
        score = float(state["forgetting/transitions"][i])
        if not state["forgetting/ever_correct"][i]:
            presented = float(state["forgetting/presentations"][i])
            score = {"inf": math.inf, "n": presented, "zero": 0.0}[policy.never_learned]
        scores.append(score)
    k = int(policy.fraction * len(scores))
    hidden = lowest(np.array(scores), state["seen"], k)
    return Expected(hidden, refresh=policy.lag and epoch % policy.refresh_every == 0)


def ies(policy: IES, state: State, epoch: int, seed: int) -> Expected:
    """Hide what is mastered, from the end of the warm-up on."""
    if epoch < policy.warmup_epochs:
        return Expected([])
    lags, known = state["losses/values"], known_rows(state)
    mastered = [is_mastered(list(row), policy.window, policy.delta) for row in lags]
    hidden = [i for i in rows_of(mastered) if known[i]]
    return Expected(hidden, refresh=epoch % policy.refresh_every == 0)


_RULES: dict[type[Policy], Callable[..., Expected]] = {
    Uniform: uniform,
    RandomSubset: random_subset,
    Kakurenbo: kakurenbo,
    InfoBatch: info_batch,
    WeightedRandom: weighted_random,
    ImportanceSampling: importance_sampling,
    SelectiveBackprop: selective_backprop,
    Forgetting: forgetting,
    OrderDP: subsets.order_dp,
    SeTa: subsets.seta,
    Curriculum: subsets.curriculum,
    ReducibleLoss: subsets.reducible_loss,
    AFSS: group_policies.afss,
    ClassBudget: group_policies.class_budget,
    GroupDRO: group_policies.group_dro,
    ReplayPriority: group_policies.replay_priority,
    IES: ies,
    PassRate: prompts.pass_rate,
}
