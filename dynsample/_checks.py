"""Checks of arguments: the message names the argument, what was found and what is allowed."""

from __future__ import annotations

import operator
from typing import Any

MAX_SAMPLES = 2**32 - 1


def integer(value: Any, name: str, low: int, high: int) -> int:
    """Give `value` as an int of [low, high]."""
    try:
        number = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{name} must be an integer, got {kind} {value!r}") from None
    if not low <= number <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], got {number}")
    return number


def random_key(seed: Any, epoch: Any, stream: Any = 0) -> tuple[int, int, int]:
    """Check the key of the counter-based generator."""
    return (
        integer(seed, "seed", 0, 2**64 - 1),
        integer(epoch, "epoch", 0, 2**32 - 1),
        integer(stream, "stream", 0, 2**32 - 1),
    )
