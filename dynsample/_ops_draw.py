"""Draws by probability: fixed-point rates, an exponential race, coins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample._arrays import as_numpy, like, or_on_device
from dynsample._checks import MAX_SAMPLES, integer, random_key

MAX_DRAWS = 2**32 - 2  # the rates of more would not fit 64 bits
STREAM_DRAW_ORDER = 7  # Stream::kDrawOrder
_METHODS = ("systematic", "multinomial")


def is_multinomial(method: str) -> bool:
    """Whether the method of a draw is "multinomial"; refuses other words than the two."""
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    return method == "multinomial"


def _probabilities(probabilities: Any) -> NDArray[np.float32]:
    return as_numpy(probabilities, "probabilities", np.float32)


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
    p = _probabilities(probabilities)
    k = integer(k, "k", 0, MAX_DRAWS)
    seed, epoch, _ = random_key(seed, epoch)
    counts = _core.draw_counts(p, k, seed, epoch, is_multinomial(method))
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
    p = _probabilities(probabilities)
    k = integer(k, "k", 0, MAX_SAMPLES)
    seed, epoch, _ = random_key(seed, epoch)
    return like(_core.draw_mask(p, k, seed, epoch), probabilities)


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
        p = _probabilities(probabilities)
        k = integer(k, "k", 0, MAX_DRAWS)
        seed, epoch, _ = random_key(seed, epoch)
        return like(_core.draw(p, k, seed, epoch, multinomial), probabilities)
    mask = draw_mask(_probabilities(probabilities), k, seed=seed, epoch=epoch)
    rows = np.flatnonzero(mask).astype(np.uint32)
    order = _core.order_slice(rows, int(seed), int(epoch), STREAM_DRAW_ORDER, 0, len(rows))
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
    p = _probabilities(probabilities)
    return like(_core.inverse_probabilities(p, integer(k, "k", 0, MAX_DRAWS)), probabilities)


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
    array = as_numpy(values, "values", np.float32)
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta must be finite and not negative, got {beta}")
    rows = np.empty(0, np.bool_) if where is None else as_numpy(where, "where", np.bool_)
    if where is not None and len(rows) != len(array):
        raise ValueError(f"where must have shape ({len(array)},), got ({len(rows)},)")
    seed, epoch, _ = random_key(seed, epoch)
    return like(_core.bernoulli_cdf(array, float(beta), seed, epoch, rows), values)


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
    array = as_numpy(values, "values", np.float32)
    if not math.isfinite(exponent):
        raise ValueError(f"exponent must be finite, got {exponent}")
    return like(_core.power(array, float(exponent)), values)
