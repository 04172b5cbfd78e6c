"""Checks of what kernels are called with: one set of messages, wherever the arrays are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynsample.kernels.checks import integer, random_key
from dynsample.kernels.convert import beside, column, relative

MAX_DRAWS = 2**32 - 2  # the rates of more would not fit 64 bits
_METHODS = ("systematic", "multinomial")


def is_multinomial(method: str) -> bool:
    """Whether the method of a draw is "multinomial"; refuses other words than the two."""
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    return method == "multinomial"


def checked_probabilities(probabilities: Any) -> Any:
    """Return probabilities of whatever real dtype as float32."""
    return relative(probabilities, "probabilities")


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


def checked_rows(
    values: Any, where: Any, name: str = "values", where_name: str = "where"
) -> tuple[Any, Any]:
    """Check a float32 column and the optional mask of the rows that take part."""
    rows = column(values, name, np.float32)
    mask = None if where is None else beside(where, where_name, np.bool_, rows, name)
    return rows, mask


def checked_selection(scores: Any, k: Any, eligible: Any) -> tuple[Any, int, Any]:
    """Check the arguments of `hide_lowest`."""
    rows, mask = checked_rows(scores, eligible, "scores", "eligible")
    return rows, integer(k, "k", 0, len(rows)), mask


def slice_bounds(n: int, start: int, stop: int | None) -> tuple[int, int]:
    """Check the ends of a slice of n positions; `stop` None is n."""
    end = n if stop is None else integer(stop, "stop", 0, n)
    return integer(start, "start", 0, end), end


def checked_slice(
    ids: Any, seed: Any, epoch: Any, start: Any, stop: Any, stream: Any
) -> tuple[Any, dict[str, int]]:
    """Check the arguments of `order_slice`."""
    rows = column(ids, "ids", np.uint32)
    seed, epoch, stream = random_key(seed, epoch, stream)
    start, stop = slice_bounds(len(rows), start, stop)
    key = {"seed": seed, "epoch": epoch, "stream": stream, "start": start, "stop": stop}
    return rows, key
