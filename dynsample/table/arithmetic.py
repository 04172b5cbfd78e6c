"""Arithmetic on the columns of a table, with the same bits on every machine and device."""

from __future__ import annotations

from abc import ABC
from typing import TypeAlias

import numpy as np

from dynsample.kernels import Array, Kernels
from dynsample.kernels.convert import beside, is_tensor
from dynsample.kernels.namespace import subtract

Floats: TypeAlias = Array  # float32
Mask: TypeAlias = Array  # bool


class Arithmetic(ABC):
    """Row by row, on the rows that are here; results are where the table is."""

    seen: Mask
    arrays: Kernels[Array]

    def _values(self, values: Floats, name: str = "values") -> Floats:
        """Check what a caller gave for all rows; the message names the caller's argument."""
        return beside(values, name, np.float32, self.seen, "the table")

    def choose(self, mask: Mask, inside: Floats | float, outside: Floats | float) -> Floats:
        """Return float32[N]: `inside` where the mask is set, `outside` elsewhere."""
        one, other = (
            x if isinstance(x, np.ndarray) or is_tensor(x) else float(x) for x in (inside, outside)
        )
        return self.arrays.where(mask, one, other)

    def floats(self, array: Array) -> Floats:
        """Convert an array with an entry per row to float32."""
        return self.arrays.floats(array)

    def subtract(self, values: Floats, others: Floats) -> Floats:
        """Subtract row by row, rounded to float32; what is infinite in both gives NaN."""
        return subtract(self._values(values), self._values(others, "others"))

    def divide(self, values: Floats, number: float) -> Floats:
        """Divide by one number, rounded to float32 first, the same bits on every device."""
        return self.arrays.divide(values, number)

    def power(self, values: Floats, exponent: float) -> Floats:
        """Raise to a power, the same bits on every machine."""
        return self.arrays.power(values, exponent)

    def exp(self, values: Floats) -> Floats:
        """Return e to the power of float32 values, the same bits on every machine."""
        return self.arrays.exp(values)
