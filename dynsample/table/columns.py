"""Columns of a score table: per-sample arrays with an update rule.

The rules themselves are in `csrc/core/columns.h`, by the same names of kinds and parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels import Array
from dynsample.kernels.checks import real
from dynsample.kernels.namespace import float32, namespace_of
from dynsample.table.column import Column as Column
from dynsample.table.column import NotObserved, Parts, set_all
from dynsample.table.column import signals_of as signals_of
from dynsample.table.windows import Dual as Dual
from dynsample.table.windows import Lags as Lags
from dynsample.table.windows import Uncertainty as Uncertainty
from dynsample.table.windows import Window as Window


@dataclass(frozen=True)
class _OneNumber(Column):
    """A column that keeps its value and nothing else."""

    def allocate(self, num_samples: int) -> dict[str, NDArray[Any]]:
        """Allocate `value` float32[N]."""
        return {"value": np.full(num_samples, np.nan, np.float32)}

    def value(self, parts: Parts) -> Array:
        """Return the value as it is kept."""
        return parts["value"]

    def set_values(self, parts: Parts, values: Array) -> None:
        """Set what is kept."""
        set_all(parts["value"], values)


@dataclass(frozen=True)
class Last(_OneNumber):
    """The last observed value; NaN for a row never observed.

    Examples
    --------
    >>> table = ds.ScoreTable(2, {"loss": ds.Last()})
    >>> for loss in (3, 1):
    ...     table.observe(np.array([0]), loss=np.array([loss], np.float32))
    >>> table["loss"]
    array([ 1., nan], dtype=float32)
    """

    kind = "last"


@dataclass(frozen=True)
class EMA(_OneNumber):
    """Exponential moving average: ``value += (1 - decay) * (x - value)`` in float32.

    The first observation sets it, and so does the one after a NaN.

    Parameters
    ----------
    decay : float in [0, 1)
        Share of the old value that stays.

    Examples
    --------
    >>> table = ds.ScoreTable(2, {"loss": ds.EMA(decay=0.5)})
    >>> for loss in (3, 1):
    ...     table.observe(np.array([0]), loss=np.array([loss], np.float32))
    >>> table["loss"]
    array([ 2., nan], dtype=float32)
    """

    decay: float = 0.9
    kind = "ema"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "decay", real(self.decay, "decay", "[0, 1)"))

    @property
    def parameter(self) -> float:
        """The step, 1 - decay rounded to float32."""
        return float(np.float32(1.0 - self.decay))


@dataclass(frozen=True)
class Mean(Column):
    """Mean of all observations, from a float64 sum and a count; NaN without any.

    Examples
    --------
    >>> table = ds.ScoreTable(2, {"loss": ds.Mean()})
    >>> for loss in (3, 1, 2):
    ...     table.observe(np.array([0]), loss=np.array([loss], np.float32))
    >>> table["loss"]
    array([ 2., nan], dtype=float32)
    """

    kind = "mean"
    ordered = False

    def allocate(self, num_samples: int) -> dict[str, NDArray[Any]]:
        """Allocate `sum` float64[N] and `count` uint32[N]."""
        return {
            "sum": np.zeros(num_samples, np.float64),
            "count": np.zeros(num_samples, np.uint32),
        }

    def value(self, parts: Parts) -> Array:
        """Return the mean."""
        with np.errstate(invalid="ignore", over="ignore"):
            return float32(parts["sum"] / parts["count"])

    def set_values(self, parts: Parts, values: Array) -> None:
        """Set the sums, with counts of 1."""
        set_all(parts["sum"], values)
        parts["count"][:] = 1


@dataclass(frozen=True)
class Max(_OneNumber):
    """The largest observed value; NaN for a row without one.

    NaN is passed over, as by `numpy.fmax`: only a row of which nothing else was observed has it. A
    zero is kept as +0, so that the value does not depend on the order of the observations.

    Examples
    --------
    >>> table = ds.ScoreTable(2, {"loss": ds.Max()})
    >>> for loss in (3, 1):
    ...     table.observe(np.array([0]), loss=np.array([loss], np.float32))
    >>> table["loss"]
    array([ 3., nan], dtype=float32)
    """

    kind = "max"
    ordered = False


@dataclass(frozen=True)
class Transitions(Column):
    """Forgetting events: how often a row went from correct (> 0) to wrong.

    References
    ----------
    Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning",
    ICLR 2019, definition of a forgetting event in section 3.

    Examples
    --------
    >>> table = ds.ScoreTable(2, {"forgotten": ds.Transitions(signal="correct")})
    >>> for correct in (1, 0, 1, 0):
    ...     table.observe(np.array([0]), correct=np.array([correct], np.float32))
    >>> table["forgotten"]
    array([ 2., nan], dtype=float32)
    """

    kind = "transitions"
    nan_until_observed = False

    def allocate(self, num_samples: int) -> dict[str, NDArray[Any]]:
        """Allocate `transitions`, `presentations` uint32[N], `previous`, `ever_correct` bool[N]."""
        return {
            "transitions": np.zeros(num_samples, np.uint32),
            "presentations": np.zeros(num_samples, np.uint32),
            "previous": np.zeros(num_samples, np.bool_),
            "ever_correct": np.zeros(num_samples, np.bool_),
        }

    def value(self, parts: Parts) -> Array:
        """Return the number of transitions, 0 for a row never observed."""
        return float32(parts["transitions"])


@dataclass(frozen=True)
class RunLength(Column):
    """Observations in a row with the last outcome, correct (> 0) or wrong; NaN is wrong.

    `table.part(name, "outcome")` says which of the two it is.

    Examples
    --------
    >>> table = ds.ScoreTable(2, {"streak": ds.RunLength(signal="correct")})
    >>> for correct in (0, 1, 1):
    ...     table.observe(np.array([0]), correct=np.array([correct], np.float32))
    >>> table["streak"]
    array([ 2., nan], dtype=float32)
    """

    kind = "run_length"

    def allocate(self, num_samples: int) -> dict[str, NDArray[Any]]:
        """Allocate `length` uint32[N] and `outcome` bool[N], True for correct."""
        return {
            "length": np.zeros(num_samples, np.uint32),
            "outcome": np.zeros(num_samples, np.bool_),
        }

    def value(self, parts: Parts) -> Array:
        """Return the length, NaN for a row never observed."""
        length = float32(parts["length"])
        return namespace_of(length).where(length > 0, length, math.nan)


@dataclass(frozen=True)
class Static(NotObserved, _OneNumber):
    """Numbers that are given by `ScoreTable.set_column` and stay as they are; NaN until then.

    To give them makes no row known: a policy names the rows that are meant where it goes by them.

    Examples
    --------
    >>> table = ds.ScoreTable(2, {"prior": ds.Static()})
    >>> table.set_column("prior", [0.5, 2])
    >>> table["prior"], table.known
    (array([0.5, 2. ], dtype=float32), array([False, False]))
    """

    kind = "static"


KINDS: tuple[type[Column], ...] = (
    Last,
    EMA,
    Mean,
    Max,
    Lags,
    Window,
    Uncertainty,
    Dual,
    Transitions,
    RunLength,
    Static,
)
