"""Oracle of the draw by pass rates: one prompt at a time."""

from __future__ import annotations

import math

import numpy as np

from dynsample.policies import PassRate
from dynsample.reference import draw
from dynsample.reference.expected import Expected, State

F32 = np.float32


def weight(policy: PassRate, rate: np.float32) -> float:
    """Return what a prompt of this pass rate weighs; NaN and infinite ones are unknown."""
    if math.isfinite(rate) and not 0 <= rate <= 1:
        raise ValueError(f"reward must be in [0, 1], got {rate}")
    if policy.retire is not None and math.isfinite(rate) and float(rate) >= policy.retire:
        return 0.0
    if policy.form == "variance":
        raw = rate * (F32(1) - rate) if math.isfinite(rate) else F32(0.25)
    elif math.isfinite(rate):
        far = (rate - F32(policy.target)) / F32(policy.width)
        raw = F32(draw.exp_of(float(far * far * F32(-0.5))))
    else:
        raw = F32(1)
    return float(raw + F32(policy.eps))


def pass_rate(policy: PassRate, state: State, epoch: int, seed: int) -> Expected:
    """Draw by the weights, no more than can be drawn."""
    weights = np.array([weight(policy, rate) for rate in state["reward/value"]], F32)
    k = len(weights) if policy.num_draws is None else policy.num_draws
    positive = sum(1 for each in weights if each > 0)
    if k and len(weights) and not positive:
        raise ValueError("nothing left to draw")
    if policy.replacement:
        k = k if positive else 0
        return Expected([], draw.draw_counts(weights, k, seed=seed, epoch=epoch).tolist())
    drawn = draw.draw_mask(weights, min(k, positive), seed=seed, epoch=epoch)
    return Expected(np.flatnonzero(~drawn).tolist())
