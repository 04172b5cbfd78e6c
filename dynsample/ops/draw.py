"""Draws by probability: fixed-point rates, an exponential race, coins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from dynsample import kernels
from dynsample.kernels import A, Given, TensorT, whole
from dynsample.kernels.arguments import (
    MAX_DRAWS,
    Method,
    checked_coins,
    checked_draw,
    checked_power,
    checked_probabilities,
    is_multinomial,
)
from dynsample.kernels.checks import MAX_SAMPLES, integer
from dynsample.kernels.convert import like


@overload
def draw_counts(
    probabilities: TensorT, k: int, *, seed: int, epoch: int, method: Method = ...
) -> TensorT: ...


@overload
def draw_counts(
    probabilities: Given | Sequence[float], k: int, *, seed: int, epoch: int, method: Method = ...
) -> NDArray[np.uint32]: ...


def draw_counts(  # type: ignore[misc]
    probabilities: A, k: int, *, seed: int, epoch: int, method: Method = "systematic"
) -> A:
    """How often each row is drawn in k draws with replacement.

    Parameters
    ----------
    probabilities : float[N]
        Any sequence of real numbers, not negative, of any sum; rounded to float32, after a scaling
        by a power of two where float64 goes beyond. NaN and infinities draw like the largest finite
        one.
    k : int in [0, 2**32 - 2]
    seed : int in [0, 2**64)
    epoch : int in [0, 2**32)
    method : "systematic" or "multinomial"
        Systematic: k pointers at equal distances on a circle, from a random start; each count is
        within 1 of its expectation. Multinomial: k independent draws, as in `torch.multinomial`.

    Returns
    -------
    uint32[N]
        Adds up to k. Expectation k r / R, from the integers r = floor(p k 2**32 / sum p) + 1 with
        sum R: a positive probability never becomes zero, and zero is never drawn.

    Notes
    -----
    Stateless: random numbers are counted by (position, epoch, stream) and keyed by the seed.

    Examples
    --------
    >>> ds.ops.draw_counts(np.array([0, 1, 3], np.float32), 8, seed=0, epoch=0)
    array([0, 2, 6], dtype=uint32)
    """
    multinomial = is_multinomial(method)
    p, k, seed, epoch = checked_draw(probabilities, k, seed, epoch)
    there = kernels.of(p)
    counts = whole.counts_of(there, p, k, seed, epoch, multinomial=multinomial)
    return like(there.unsigned(counts), probabilities)


@overload
def draw_mask(probabilities: TensorT, k: int, *, seed: int, epoch: int) -> TensorT: ...


@overload
def draw_mask(
    probabilities: Given | Sequence[float], k: int, *, seed: int, epoch: int
) -> NDArray[np.bool_]: ...


def draw_mask(probabilities: A, k: int, *, seed: int, epoch: int) -> A:  # type: ignore[misc]
    """Mask of k rows drawn without replacement.

    The k smallest E_i / p_i with E_i exponential: the exponential race (Efraimidis and Spirakis,
    "Weighted random sampling with a reservoir", 2006), as one after the other with probability
    proportional to p among those left.

    Parameters
    ----------
    probabilities : float[N]
        As in `draw_counts`.
    k : int in [0, number of positive probabilities]
    seed, epoch
        As in `draw_counts`.

    Returns
    -------
    bool[N]

    Examples
    --------
    >>> ds.ops.draw_mask(np.array([0, 1, 3], np.float32), 2, seed=0, epoch=0)
    array([False,  True,  True])
    """
    p, k, seed, epoch = checked_draw(probabilities, k, seed, epoch, MAX_SAMPLES)
    return kernels.of(p).draw_mask(p, k, seed, epoch)


@overload
def draw(
    probabilities: TensorT,
    k: int,
    *,
    replacement: bool,
    seed: int,
    epoch: int,
    method: Method = ...,
) -> TensorT: ...


@overload
def draw(
    probabilities: Given | Sequence[float],
    k: int,
    *,
    replacement: bool,
    seed: int,
    epoch: int,
    method: Method = ...,
) -> NDArray[np.int64]: ...


def draw(  # type: ignore[misc]
    probabilities: A,
    k: int,
    *,
    replacement: bool,
    seed: int,
    epoch: int,
    method: Method = "systematic",
) -> A:
    """Draw k rows, in random order.

    The rows of `draw_counts` (with replacement) or `draw_mask` (without), in the order of a keyed
    permutation. There is no state: the same arguments give the same rows.

    Parameters
    ----------
    probabilities : float[N]
        As in `draw_counts`.
    k : int
    replacement : bool
    seed, epoch
        As in `draw_counts`.
    method : "systematic" or "multinomial"
        With replacement only.

    Returns
    -------
    int64[k]

    Examples
    --------
    >>> import numpy as np, dynsample as ds
    >>> p = np.array([0, 1, 1], np.float32)
    >>> sorted(ds.ops.draw(p, 2, replacement=False, seed=0, epoch=0).tolist())
    [1, 2]
    """
    multinomial = is_multinomial(method)
    most = MAX_DRAWS if replacement else MAX_SAMPLES
    p, k, seed, epoch = checked_draw(probabilities, k, seed, epoch, most)
    there, replaced = kernels.of(p), bool(replacement)
    return there.draw(p, k, seed, epoch, replacement=replaced, multinomial=multinomial)


@overload
def inverse_probabilities(probabilities: TensorT, k: int) -> TensorT: ...


@overload
def inverse_probabilities(
    probabilities: Given | Sequence[float], k: int
) -> NDArray[np.float32]: ...


def inverse_probabilities(probabilities: A, k: int) -> A:  # type: ignore[misc]
    """1 / (N p) of every row: the loss weights that make k draws with replacement unbiased.

    Parameters
    ----------
    probabilities : float[N]
        As in `draw_counts`.
    k : int in [0, 2**32 - 2]
        Draws of the epoch; p comes from the same integers as the draw.

    Returns
    -------
    float32[N]
        R / (N r), 0 where the probability is 0.

    Examples
    --------
    >>> ds.ops.inverse_probabilities(np.array([1, 3], np.float32), 8).round(3)
    array([2.   , 0.667], dtype=float32)
    """
    p, k = checked_probabilities(probabilities), integer(k, "k", 0, MAX_DRAWS)
    rates = whole.rates_of(kernels.of(p), p, k)
    return like(rates.inverse(rates.total, len(p)), probabilities)


@overload
def bernoulli_cdf(
    values: TensorT, beta: float, *, seed: int, epoch: int, where: TensorT | None = ...
) -> TensorT: ...


@overload
def bernoulli_cdf(
    values: Given, beta: float, *, seed: int, epoch: int, where: Given | None = ...
) -> NDArray[np.bool_]: ...


def bernoulli_cdf(values: A, beta: float, *, seed: int, epoch: int, where: A | None = None) -> A:  # type: ignore[misc]
    """Keep each row with the probability (share of rows at or below its value) ** beta.

    Parameters
    ----------
    values : float32[N]
        Values that are not finite are kept and take no part.
    beta : float, finite, not negative
    seed, epoch
        As in `draw_counts`.
    where : bool[N], optional
        Rows that take part; the others are kept.

    Returns
    -------
    bool[N]
        Kept or not; all are kept when all values are equal.

    Notes
    -----
    Shares are counted in 1000 bins between the lowest and the highest value (Jiang et al.,
    "Accelerating deep learning by focusing on the biggest losers", 2019, over the data set).

    Examples
    --------
    >>> kept = ds.ops.bernoulli_cdf(np.arange(9, dtype=np.float32), 50.0, seed=0, epoch=0)
    >>> bool(kept[0]), bool(kept[8])
    (False, True)
    """
    rows, beta, seed, epoch, mask = checked_coins(values, beta, seed, epoch, where)
    there = kernels.of(rows)
    low, high = there.min_max(rows, mask, finite_only=True)
    if not low < high:  # also NaN: without rows that take part
        return like(there.mask(len(rows), True), values)
    counts = there.cdf_counts(rows, mask, low, high)
    return there.cdf_keep(rows, mask, low, high, counts, beta, seed, epoch, 0)


@overload
def power(values: TensorT, exponent: float) -> TensorT: ...


@overload
def power(values: Given, exponent: float) -> NDArray[np.float32]: ...


def power(values: A, exponent: float) -> A:  # type: ignore[misc]
    """`values ** exponent`, the same on every machine.

    Parameters
    ----------
    values : float32[N]
        Not negative. NaN stays NaN, 0 stays 0 for every exponent.
    exponent : float, finite

    Returns
    -------
    float32[N]
        Rounded from double.

    Examples
    --------
    >>> ds.ops.power(np.array([0, 4, np.nan], np.float32), 0.5)
    array([ 0.,  2., nan], dtype=float32)
    """
    rows, exponent = checked_power(values, exponent)
    return kernels.of(rows).power(rows, exponent)
