"""Checks of arguments: the message names the argument, what was found and what is allowed."""

from __future__ import annotations

import math
import operator
from functools import cache
from typing import SupportsFloat, SupportsIndex

from dynsample._core import Stream
from dynsample.kernels.convert import plain

MAX_SAMPLES = 2**32 - 1
MAX_EPOCH = 2**32 - 1


def integer(value: object, name: str, low: int, high: int) -> int:
    """Return `value` as an int of [low, high]; a bool is none."""
    if type(value) is int and low <= value <= high:
        return value
    found = plain(value)
    try:
        number = None if isinstance(found, bool) else operator.index(found)  # type: ignore[arg-type]
    except TypeError:  # an array has it too, and not for more than one number
        number = None
    if number is None:
        of_data = name == "num_samples" and hasattr(value, "__len__")
        hint = ": write len() of the data set" if of_data else ""
        raise TypeError(
            f"{name} must be an integer, got {type(value).__name__} {value!r:.80}{hint}"
        )
    if not low <= number <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], got {number}")
    return number


def random_key(
    seed: SupportsIndex, epoch: SupportsIndex, stream: SupportsIndex = Stream.ORDER
) -> tuple[int, int, int]:
    """Check the key of the counter-based generator."""
    return (
        integer(seed, "seed", 0, 2**64 - 1),
        integer(epoch, "epoch", 0, MAX_EPOCH),
        integer(stream, "stream", 0, 2**32 - 1),
    )


def real(value: object, name: str, interval: str) -> float:
    """Return `value` as a finite float of an interval such as "[0, 1)"; an end may be inf."""
    number = value if type(value) is float else _number(value, name)
    first, low, high, last = _ends(interval)
    above = number >= low if first == "[" else number > low
    below = number <= high if last == "]" else number < high
    if not (math.isfinite(number) and above and below):
        raise ValueError(f"{name} must be in {interval}, got {value!r}")
    return number


def _number(value: object, name: str) -> float:
    found = plain(value)
    is_text = isinstance(found, (bool, str, bytes))
    # Classes first: a protocol takes a hundred times as long to be looked for.
    is_real = (float, int, SupportsFloat)
    if is_text or not isinstance(found, is_real) or getattr(found, "ndim", False):
        raise TypeError(f"{name} must be a number, got {type(value).__name__} {value!r}")
    return float(found)


@cache
def _ends(interval: str) -> tuple[str, float, float, str]:
    low, high = interval[1:-1].split(",")
    return interval[0], float(low), float(high), interval[-1]


def choice(value: object, name: str, allowed: tuple[str, ...]) -> str:
    """Return `value` when it is one of the `allowed` words."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def boolean(value: object, name: str) -> bool:
    """Return `value` when it is True or False."""
    found = plain(value)
    if not isinstance(found, bool):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__} {value!r}")
    return found
