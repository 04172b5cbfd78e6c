"""Draws by probability: fixed-point rates, an exponential race, coins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynsample import _core
from dynsample._core import Stream
from dynsample.kernels.checks import MAX_SAMPLES, integer, random_key
from dynsample.kernels.convert import column, host, like, or_on_device
from dynsample.ops.select import checked_rows

MAX_DRAWS = 2**32 - 2  # the rates of more would not fit 64 bits
_METHODS = ("systematic", "multinomial")


def is_multinomial(method: str) -> bool:
    """Whether the method of a draw is "multinomial"; refuses other words than the two."""
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    return method == "multinomial"


def checked_probabilities(probabilities: Any) -> Any:
    """Check the dtype and the shape of probabilities."""
    return column(probabilities, "probabilities", np.float32)


def checked_draw(
    probabilities: Any, k: Any, seed: Any, epoch: Any, most: int = MAX_DRAWS
) -> tuple[Any, int, int, int]:
    """Check the arguments of a draw."""
    p = checked_probabilities(probabilities)
    k = integer(k, "k", 0, most)
    seed, epoch, _ = random_key(seed, epoch)
    return p, k, seed, epoch


def checked_coins(
    values: Any, beta: float, seed: Any, epoch: Any, where: Any
) -> tuple[Any, float, int, int, Any]:
    """Check the arguments of `bernoulli_cdf`."""
    rows, mask = checked_rows(values, where)
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta must be finite and not negative, got {beta}")
    seed, epoch, _ = random_key(seed, epoch)
    return rows, float(beta), seed, epoch, mask


def checked_power(values: Any, exponent: float) -> tuple[Any, float]:
    """Check the arguments of `power`."""
    rows = column(values, "values", np.float32)
    if not math.isfinite(exponent):
        raise ValueError(f"exponent must be finite, got {exponent}")
    return rows, float(exponent)


@or_on_device
def draw_counts(
    probabilities: Any, k: int, *, seed: int, epoch: int, method: str = "systematic"
) -> Any:
    """How often each row is drawn in k draws with replacement.

    Parameters
    ----------
    probabilities : float32[N]
        Not negative, of any sum. NaN and infinities draw like the largest finite one.
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
    """
    multinomial = is_multinomial(method)
    p, k, seed, epoch = checked_draw(probabilities, k, seed, epoch)
    counts = _core.draw_counts(host(p), k, seed, epoch, multinomial)
    return like(counts, probabilities)


@or_on_device
def draw_mask(probabilities: Any, k: int, *, seed: int, epoch: int) -> Any:
    """Mask of k rows drawn without replacement.

    The k smallest E_i / p_i with E_i exponential: the exponential race (Efraimidis and Spirakis,
    "Weighted random sampling with a reservoir", 2006), as one after the other with probability
    proportional to p among those left.

    Parameters
    ----------
    probabilities : float32[N]
        As in `draw_counts`.
    k : int in [0, number of positive probabilities]
    seed, epoch
        As in `draw_counts`.

    Returns
    -------
    bool[N]
    """
    p, k, seed, epoch = checked_draw(probabilities, k, seed, epoch, MAX_SAMPLES)
    return like(_core.draw_mask(host(p), k, seed, epoch), probabilities)


@or_on_device
def draw(
    probabilities: Any,
    k: int,
    *,
    replacement: bool,
    seed: int,
    epoch: int,
    method: str = "systematic",
) -> Any:
    """Draw k rows, in random order.

    The rows of `draw_counts` (with replacement) or `draw_mask` (without), in the order of a keyed
    permutation. There is no state: the same arguments give the same rows.

    Parameters
    ----------
    probabilities : float32[N]
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
    if replacement:
        p, k, seed, epoch = checked_draw(probabilities, k, seed, epoch)
        return like(_core.draw(host(p), k, seed, epoch, multinomial), probabilities)
    p, k, seed, epoch = checked_draw(probabilities, k, seed, epoch, MAX_SAMPLES)
    rows = np.flatnonzero(_core.draw_mask(host(p), k, seed, epoch)).astype(np.uint32)
    order = _core.order_slice(rows, seed, epoch, Stream.DRAW_ORDER, 0, len(rows))
    return like(order, probabilities)


@or_on_device
def inverse_probabilities(probabilities: Any, k: int) -> Any:
    """1 / (N p) of every row: the loss weights that make k draws with replacement unbiased.

    Parameters
    ----------
    probabilities : float32[N]
        As in `draw_counts`.
    k : int in [0, 2**32 - 2]
        Draws of the epoch; p comes from the same integers as the draw.

    Returns
    -------
    float32[N]
        R / (N r), 0 where the probability is 0.
    """
    p, k = checked_probabilities(probabilities), integer(k, "k", 0, MAX_DRAWS)
    return like(_core.inverse_probabilities(host(p), k), probabilities)


@or_on_device
def bernoulli_cdf(
    values: Any, beta: float, *, seed: int, epoch: int, where: Any | None = None
) -> Any:
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
    """
    rows, beta, seed, epoch, mask = checked_coins(values, beta, seed, epoch, where)
    given = np.empty(0, np.bool_) if mask is None else host(mask)
    return like(_core.bernoulli_cdf(host(rows), beta, seed, epoch, given), values)


@or_on_device
def power(values: Any, exponent: float) -> Any:
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
    """
    rows, exponent = checked_power(values, exponent)
    return like(_core.power(host(rows), exponent), values)
