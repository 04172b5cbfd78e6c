"""The Beta distribution by which DUAL draws a coreset: the smaller it is, the easier."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynsample.kernels.checks import real
from dynsample.kernels.convert import to_host
from dynsample.kernels.numbers import reals_on_host

Floats = NDArray[np.float64]
_HARDEST = 10  # scores, the highest, that say where the hard samples are
_BELOW_ONE = 1.0 - 2.0**-24  # the float32 before 1
_LEAST = float(np.finfo(np.float64).tiny)


def beta_probabilities(
    scores: ArrayLike, means: ArrayLike, pruning_ratio: float, *, c_d: float = 4.0
) -> Floats:
    """Probabilities for `keep_drawn` that prefer high scores, and easy samples the more are pruned.

    ``p_i ~ score_i x_i^(a - 1) (1 - x_i)^(b - 1)``: the score times the density of Beta(a, b) at
    the mean probability x_i, where ``b = 15 (1 - m) (1 - r^c_d)`` and ``a = 16 - b``, r is the
    pruning ratio, and m is the mean of x over the ten highest scores. The density stands near the
    hard samples where little is pruned, and at the easy ones where nearly all is.

    Parameters
    ----------
    scores : float[N]
        DUAL or another score, not negative; numpy or torch. NaN for a sample without a score.
    means : float[N]
        Mean probability of the true class over the same epochs, in [0, 1]; NaN as above.
        `ds.score_columns(["dual", "probability"])` gathers both.
    pruning_ratio : float in [0, 1)
        Share of the samples to prune, 1 - k / N.
    c_d : float above 0
        How late the density moves, larger for harder data: the published code has 4 for CIFAR and
        11 for ImageNet.

    Returns
    -------
    float64[N]
        Of sum 1. NaN where the score or the mean is, 0 where the score is, and nowhere else.

    References
    ----------
    Cho et al., "Lightweight Dataset Pruning without Full Training via Example Difficulty and
    Prediction Uncertainty", ICML 2025: Beta sampling, with the constants of the published code.

    Examples
    --------
    >>> import dynsample as ds
    >>> scores, means = [1.0, 1.0, 0.0], [0.2, 0.9, 0.5]
    >>> ds.coreset.beta_probabilities(scores, means, pruning_ratio=0.9).round(3).tolist()
    [0.0, 1.0, 0.0]
    """
    score, mean = _numbers(scores, "scores", math.inf), _numbers(means, "means", 1.0)
    if len(score) != len(mean):
        raise ValueError(f"means must have {len(score)} entries, one a score, got {len(mean)}")
    r, power = real(pruning_ratio, "pruning_ratio", "[0, 1)"), real(c_d, "c_d", "(0, inf)")
    result = np.where(np.isnan(mean), np.nan, score)
    known = np.flatnonzero(~np.isnan(result))
    score, mean = score[known], mean[known]
    hardest = np.argsort(score, kind="stable")[-_HARDEST:]
    m = math.fsum(mean[hardest]) / max(len(hardest), 1)
    b = 15.0 * (1.0 - m) * (1.0 - r**power)
    x = np.clip(mean, _LEAST, _BELOW_ONE)  # at the ends the density may be infinite
    result[known] = _products(score, (15.0 - b) * np.log(x) + (b - 1.0) * np.log1p(-x))
    return result


def _products(scores: Floats, logs: Floats) -> Floats:
    """Scores times exp(logs), of sum 1; what is positive stays so."""
    products, positive = np.zeros(len(scores)), scores > 0
    if positive.any():
        logs = np.log(scores[positive]) + logs[positive]
        products[positive] = np.maximum(np.exp(logs - logs.max()), _LEAST)
        products /= products.sum()
    return products


def _numbers(values: ArrayLike, name: str, most: float) -> Floats:
    """Values as float64, when each is NaN, or finite and in [0, most]."""
    array = reals_on_host(to_host(values), name).astype(np.float64)
    wrong = array[(array < 0) | (array > most) | np.isinf(array)]
    if len(wrong):
        end = "inf)" if most == math.inf else f"{most:g}]"
        raise ValueError(f"{name} must be in [0, {end}, or NaN, got {wrong[0]}")
    return array
