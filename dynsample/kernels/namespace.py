"""What numpy and torch both have and spell alike, for arithmetic that is written once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from dynsample.kernels.convert import is_tensor
from dynsample.kernels.protocol import Array


class Namespace(Protocol):
    """The functions of numpy, or of torch, on arrays of theirs."""

    def abs(self, values: Array, /) -> Array:
        """Absolute value."""

    def amax(self, values: Array, axis: int, /) -> Array:
        """Highest entry along an axis."""

    def argmax(self, values: Array, axis: int, /) -> Array:
        """Place of the highest entry along an axis, the first of equals."""

    def concatenate(self, parts: Sequence[Array], axis: int = 0, /) -> Array:
        """Join along an axis."""

    def exp(self, values: Array, /) -> Array:
        """Exponential."""

    def full_like(self, values: Array, value: float, /) -> Array:
        """Fill an array of the same shape and dtype."""

    def isfinite(self, values: Array, /) -> Array:
        """Mark what is neither NaN nor infinite."""

    def log(self, values: Array, /) -> Array:
        """Natural logarithm."""

    def searchsorted(self, ascending: Array, values: Array, /) -> Array:
        """Count the entries below each value."""

    def sqrt(self, values: Array, /) -> Array:
        """Square root."""

    def sum(self, values: Array, axis: int, /) -> Array:
        """Sum along an axis."""

    def where(self, mask: Array, inside: Array | float, outside: Array | float, /) -> Array:
        """Choose by a mask."""

    def zeros_like(self, values: Array, /) -> Array:
        """Zeros of the same shape and dtype."""


def namespace_of(array: Array) -> Namespace:
    """Find the module that an array is of."""
    module: Any = sys.modules["torch"] if is_tensor(array) else np
    found: Namespace = module
    return found


def equal(one: Array, other: Array) -> Array:
    """Compare entry by entry."""
    compared: Any = one == other
    mask: Array = compared
    return mask


def subtract(one: Array, other: Array) -> Array:
    """Subtract entry by entry; numpy does not warn of what becomes infinite or NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        return one - other


def float32(array: Array) -> Array:
    """Convert to float32."""
    return array.float() if is_tensor(array) else array.astype(np.float32)
