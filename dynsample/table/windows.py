"""Columns of the last few observations of every row, and of what their windows gave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels import Array
from dynsample.kernels.checks import integer
from dynsample.kernels.namespace import contiguous, float32, namespace_of
from dynsample.table.column import Column, Parts, float64


@dataclass(frozen=True)
class _OfWindow(Column):
    """A column that keeps the last `size` observations of every row."""

    size: int = 10
    least_size: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        size = integer(self.size, "size", self.least_size, 2**32 - 1)
        object.__setattr__(self, "size", size)

    @property
    def parameter(self) -> float:
        """The size."""
        return float(self.size)

    def allocate(self, num_samples: int) -> dict[str, NDArray[Any]]:
        """Allocate `values` float32[N, size] and `count` uint32[N], observations so far."""
        return {
            "values": np.zeros((num_samples, self.size), np.float32),
            "count": np.zeros(num_samples, np.uint32),
        }


@dataclass(frozen=True)
class Lags(_OfWindow):
    """The last `size` observations; `table.lag` gives each, the value is the latest.

    Parameters
    ----------
    size : int
        Observations kept; the one `back` before the latest is at ``values[row, back]``, NaN where
        there were fewer.

    Examples
    --------
    >>> table = ds.ScoreTable(1, {"loss": ds.Lags(size=2)})
    >>> for loss in (3, 2, 1):
    ...     table.observe(np.array([0]), loss=np.array([loss], np.float32))
    >>> table["loss"], table.lag("loss", 1)
    (array([1.], dtype=float32), array([2.], dtype=float32))
    """

    size: int = 3
    kind = "lags"

    def allocate(self, num_samples: int) -> dict[str, NDArray[Any]]:
        """Allocate `values` float32[N, size]."""
        return {"values": np.full((num_samples, self.size), np.nan, np.float32)}

    def lag(self, parts: Parts, back: int) -> Array:
        """Return the observation `back` before the latest, float32[N]."""
        return contiguous(parts["values"][:, back])

    def value(self, parts: Parts) -> Array:
        """Return the latest observation."""
        return self.lag(parts, 0)


@dataclass(frozen=True)
class Window(_OfWindow):
    """The last `size` observations and their standard deviation (ddof=1).

    Parameters
    ----------
    size : int
        Observations kept; observation t of a row is at ``values[row, t % size]``.

    Examples
    --------
    >>> table = ds.ScoreTable(1, {"loss": ds.Window(size=2)})
    >>> for loss in (9, 2, 4):
    ...     table.observe(np.array([0]), loss=np.array([loss], np.float32))
    >>> table["loss"].round(3)
    array([1.414], dtype=float32)
    """

    kind = "window"

    def value(self, parts: Parts) -> Array:
        """Return the standard deviation, NaN below two observations; two passes in float64."""
        values, count = parts["values"], parts["count"].clip(max=self.size)
        module, number = namespace_of(values), float64(count)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            total = module.zeros_like(number)
            for slot in range(self.size):  # a fixed order of additions on every machine
                total += module.where(slot < count, values[:, slot], 0.0)
            mean = total / number
            squares = module.zeros_like(number)
            for slot in range(self.size):
                off = values[:, slot] - mean
                squares += module.where(slot < count, off * off, 0.0)
            variance = squares / module.where(count > 1, number - 1.0, math.nan)
            return float32(module.sqrt(variance))


@dataclass(frozen=True)
class _OverWindows(_OfWindow):
    """A mean over windows: of a row's full ones, without the `left_out` latest."""

    least_size = 2
    left_out: ClassVar[int] = 0

    def allocate(self, num_samples: int) -> dict[str, NDArray[Any]]:
        """Allocate what a window has, and `sum` float64[N]."""
        return {**super().allocate(num_samples), "sum": np.zeros(num_samples, np.float64)}

    def value(self, parts: Parts) -> Array:
        """Return the mean, NaN for a row that no window counts of."""
        windows = float64(parts["count"]) - (self.size - 1 + self.left_out)
        with np.errstate(invalid="ignore", over="ignore"):
            full = namespace_of(windows).where(windows > 0, windows, math.nan)
            return float32(parts["sum"] / full)


@dataclass(frozen=True)
class Uncertainty(_OverWindows):
    """Dynamic uncertainty: the mean of ``10 * std`` over the windows of `size` observations.

    Of all full windows but the present one, so that T observations of a row count T - size times,
    in the memory of one window, a count and a sum.

    Parameters
    ----------
    size : int
        Observations in a window, at least 2; its signal is the probability of the true class.

    References
    ----------
    He et al., "Large-scale Dataset Pruning with Dynamic Uncertainty", 2023, equations 2 and 3.

    Examples
    --------
    >>> table = ds.ScoreTable(1, {"probability": ds.Uncertainty(size=2)})
    >>> for probability in (0.2, 0.4, 0.4):
    ...     table.observe(np.array([0]), probability=np.array([probability], np.float32))
    >>> table["probability"].round(3)
    array([1.414], dtype=float32)
    """

    kind = "uncertainty"
    left_out = 1


@dataclass(frozen=True)
class Dual(_OverWindows):
    """DUAL score: the mean of ``10 * std * (1 - mean)`` over the windows of `size` observations.

    Of all full windows, also the present one: T observations of a row count T - size + 1 times.

    Parameters
    ----------
    size : int
        Observations in a window, at least 2; its signal is the probability of the true class.

    References
    ----------
    Cho et al., "Lightweight Dataset Pruning without Full Training via Example Difficulty and
    Prediction Uncertainty", ICML 2025, and its published code.

    Examples
    --------
    >>> table = ds.ScoreTable(1, {"probability": ds.Dual(size=2)})
    >>> for probability in (0.2, 0.4):
    ...     table.observe(np.array([0]), probability=np.array([probability], np.float32))
    >>> table["probability"].round(3)
    array([0.99], dtype=float32)
    """

    kind = "dual"
