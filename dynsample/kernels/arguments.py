"""Checks of what kernels are called with: one set of messages, wherever the arrays are."""

from __future__ import annotations

import math
from typing import Literal, SupportsIndex, TypeAlias, get_args

import numpy as np

from dynsample.kernels.checks import integer, random_key
from dynsample.kernels.convert import beside, column
from dynsample.kernels.numbers import relative
from dynsample.kernels.protocol import A

MAX_DRAWS = 2**32 - 2  # the rates of more would not fit 64 bits
Method: TypeAlias = Literal["systematic", "multinomial"]  # of a draw
_METHODS = get_args(Method)


def is_multinomial(method: str) -> bool:
    """Whether the method of a draw is "multinomial"; refuses other words than the two."""
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    return method == "multinomial"


def checked_probabilities(probabilities: A) -> A:
    """Return probabilities of whatever real dtype as float32."""
    return relative(probabilities, "probabilities")


def checked_draw(
    probabilities: A,
    k: SupportsIndex,
    seed: SupportsIndex,
    epoch: SupportsIndex,
    most: int = MAX_DRAWS,
) -> tuple[A, int, int, int]:
    """Check the arguments of a draw."""
    p = checked_probabilities(probabilities)
    k = integer(k, "k", 0, most)
    seed, epoch, _ = random_key(seed, epoch)
    return p, k, seed, epoch


def checked_coins(
    values: A, beta: float, seed: SupportsIndex, epoch: SupportsIndex, where: A | None
) -> tuple[A, float, int, int, A | None]:
    """Check the arguments of `bernoulli_cdf`."""
    rows, mask = checked_rows(values, where)
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta must be finite and not negative, got {beta}")
    seed, epoch, _ = random_key(seed, epoch)
    return rows, float(beta), seed, epoch, mask


def checked_power(values: A, exponent: float) -> tuple[A, float]:
    """Check the arguments of `power`."""
    rows = column(values, "values", np.float32)
    if not math.isfinite(exponent):
        raise ValueError(f"exponent must be finite, got {exponent}")
    return rows, float(exponent)


def checked_rows(
    values: A, where: A | None, name: str = "values", where_name: str = "where"
) -> tuple[A, A | None]:
    """Check a float32 column and the optional mask of the rows that take part."""
    rows = column(values, name, np.float32)
    mask = None if where is None else beside(where, where_name, np.bool_, rows, name)
    return rows, mask


def checked_selection(scores: A, k: SupportsIndex, eligible: A | None) -> tuple[A, int, A | None]:
    """Check the arguments of `hide_lowest`."""
    rows, mask = checked_rows(scores, eligible, "scores", "eligible")
    return rows, integer(k, "k", 0, len(rows)), mask


def slice_bounds(n: int, start: int, stop: int | None) -> tuple[int, int]:
    """Check the ends of a slice of n positions; `stop` None is n."""
    end = n if stop is None else integer(stop, "stop", 0, n)
    return integer(start, "start", 0, end), end


def checked_slice(
    ids: A,
    seed: SupportsIndex,
    epoch: SupportsIndex,
    start: int,
    stop: int | None,
    stream: SupportsIndex,
) -> tuple[A, dict[str, int]]:
    """Check the arguments of `order_slice`."""
    rows = column(ids, "ids", np.uint32)
    seed, epoch, stream = random_key(seed, epoch, stream)
    start, stop = slice_bounds(len(rows), start, stop)
    key = {"seed": seed, "epoch": epoch, "stream": stream, "start": start, "stop": stop}
    return rows, key
