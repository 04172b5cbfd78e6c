"""Columns of a score table: per-sample arrays with an update rule.

The rules themselves are in `csrc/core/columns.h`, by the same names of kinds and parts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels import A, Array
from dynsample.kernels.checks import integer, real
from dynsample.kernels.convert import as_tensor, is_tensor
from dynsample.kernels.namespace import float32, namespace_of

Parts: TypeAlias = Mapping[str, Array]


def _set(array: Array, values: Array) -> None:
    if is_tensor(array):
        array.copy_(as_tensor(values))
    else:
        array[:] = values


def _float64(array: Array) -> Array:
    return array.double() if is_tensor(array) else array.astype(np.float64)


@dataclass(frozen=True)
class Column(ABC):
    """What a table keeps of one signal. Signals are float32.

    Parameters
    ----------
    signal : str, optional
        The observed signal; None is the column's own name.
    until : int, optional
        Observations of epochs from this one on are not taken; None takes all.

    Attributes
    ----------
    kind : str
        The name of the update rule in the native code; the same for all columns of a class.
    observed : bool
        Whether observations make it: a log keeps the signals of such columns alone. Of the class.
    nan_until_observed : bool
        Whether `value` is NaN for a row that was never observed; where it is not, the table puts
        NaN there. Also of the class.
    """

    signal: str | None = field(default=None, kw_only=True)
    until: int | None = field(default=None, kw_only=True)
    kind: ClassVar[str]
    observed: ClassVar[bool] = True
    nan_until_observed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.signal is not None and not isinstance(self.signal, str):
            raise TypeError(f"signal must be a str or None, got {type(self.signal).__name__}")
        if self.signal == "":
            raise ValueError("signal must not be empty")
        if self.until is not None:  # a number of Python: the repr of a column is its identity
            object.__setattr__(self, "until", integer(self.until, "until", 0, 2**32 - 1))

    def takes(self, epoch: int) -> bool:
        """Whether observations of `epoch` count."""
        return self.observed and (self.until is None or epoch < self.until)

    @property
    def parameter(self) -> float:
        """The one number of the update rule that the native fold needs."""
        return 0.0

    @abstractmethod
    def allocate(self, num_samples: int) -> dict[str, NDArray[Any]]:
        """Parts of the column by name, each with `num_samples` rows, nothing observed."""

    @abstractmethod
    def value(self, parts: Parts) -> Array:
        """Return what `table[name]` gives, float32[N]; it may share memory with `parts`.

        The same code serves numpy and torch, and the values must be equal to the last bit: every
        operation is one of IEEE arithmetic on whole arrays, so that nothing is contracted, and no
        array is divided by a number, which torch does on a GPU by the reciprocal.
        """

    def set_values(self, parts: Parts, values: Array) -> None:
        """Set the value of every row to an imported one, float32[N].

        Raises
        ------
        TypeError
            For a kind that keeps more than its value tells.
        """
        able = [kind.__name__ for kind in KINDS if kind.set_values is not Column.set_values]
        raise TypeError(f"only columns of kind {', '.join(able)} can be set, got {self!r}")


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
        _set(parts["value"], values)


@dataclass(frozen=True)
class Last(_OneNumber):
    """The last observed value; NaN for a row never observed."""

    kind = "last"


@dataclass(frozen=True)
class EMA(_OneNumber):
    """Exponential moving average: ``value += (1 - decay) * (x - value)`` in float32.

    The first observation sets it, and so does the one after a NaN.

    Parameters
    ----------
    decay : float in [0, 1)
        Share of the old value that stays.
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
    """Mean of all observations, from a float64 sum and a count; NaN without any."""

    kind = "mean"

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
        _set(parts["sum"], values)
        parts["count"][:] = 1


@dataclass(frozen=True)
class Max(_OneNumber):
    """The largest observed value; NaN for a row without one.

    NaN is passed over, as by `numpy.fmax`: only a row of which nothing else was observed has it. A
    zero is kept as +0, so that the value does not depend on the order of the observations.
    """

    kind = "max"


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
class Window(_OfWindow):
    """The last `size` observations and their standard deviation (ddof=1).

    Parameters
    ----------
    size : int
        Observations kept; observation t of a row is at ``values[row, t % size]``.
    """

    kind = "window"

    def value(self, parts: Parts) -> Array:
        """Return the standard deviation, NaN below two observations; two passes in float64."""
        values, count = parts["values"], parts["count"].clip(max=self.size)
        module, number = namespace_of(values), _float64(count)
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
class Uncertainty(_OfWindow):
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
    """

    kind = "uncertainty"
    least_size = 2

    def allocate(self, num_samples: int) -> dict[str, NDArray[Any]]:
        """Allocate what a window has, and `sum` float64[N]."""
        return {**super().allocate(num_samples), "sum": np.zeros(num_samples, np.float64)}

    def value(self, parts: Parts) -> Array:
        """Return the mean, NaN for a row with `size` observations or fewer."""
        windows = _float64(parts["count"]) - self.size
        with np.errstate(invalid="ignore", over="ignore"):
            full = namespace_of(windows).where(windows > 0, windows, math.nan)
            return float32(parts["sum"] / full)


@dataclass(frozen=True)
class Transitions(Column):
    """Forgetting events: how often a row went from correct (> 0) to wrong.

    References
    ----------
    Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning",
    ICLR 2019, definition of a forgetting event in section 3.
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
class _NotObserved(Column):
    """A column that takes no observations, and so has no signal."""

    observed = False
    signal: None = field(default=None, init=False, repr=False)
    until: None = field(default=None, init=False, repr=False)


@dataclass(frozen=True)
class Static(_NotObserved, _OneNumber):
    """Numbers that are given by `ScoreTable.set_column` and stay as they are; NaN until then.

    To give them makes no row known: a policy names the rows that are meant where it goes by them.
    """

    kind = "static"


KINDS: tuple[type[Column], ...] = (Last, EMA, Mean, Max, Window, Uncertainty, Transitions, Static)


def signals_of(columns: Mapping[str, Column]) -> list[str]:
    """Return the signals that columns are made of, ascending: what a log keeps."""
    return sorted({column.signal or name for name, column in columns.items() if column.observed})


def native(
    column: Column, signal: int, parts: Mapping[str, A]
) -> tuple[str, int, float, dict[str, A]]:
    """Describe a column to the native fold: kind, number of its signal, parameter, parts."""
    return column.kind, signal, column.parameter, dict(parts)
