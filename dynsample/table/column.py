"""What a column of a score table is: a per-sample array, or a few, with an update rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels import A, Array
from dynsample.kernels.checks import integer
from dynsample.kernels.convert import as_tensor, is_tensor

Parts: TypeAlias = Mapping[str, Array]


def set_all(array: Array, values: Array) -> None:
    """Set every entry of a part."""
    if is_tensor(array):
        array.copy_(as_tensor(values))
    else:
        array[:] = values


def float64(array: Array) -> Array:
    """Convert to float64."""
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
    ordered : bool
        Whether the value depends on the order of a row's observations: then one that comes after
        those of a newer epoch is left out. Also of the class.
    nan_until_observed : bool
        Whether `value` is NaN for a row that was never observed; where it is not, the table puts
        NaN there. Also of the class.
    """

    signal: str | None = field(default=None, kw_only=True)
    until: int | None = field(default=None, kw_only=True)
    kind: ClassVar[str]
    observed: ClassVar[bool] = True
    ordered: ClassVar[bool] = True
    nan_until_observed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.signal is not None and not isinstance(self.signal, str):
            raise TypeError(f"signal must be a str or None, got {type(self.signal).__name__}")
        if self.signal == "":
            raise ValueError("signal must not be empty")
        if self.until is not None:  # a number of Python: the repr of a column is its identity
            object.__setattr__(self, "until", integer(self.until, "until", 0, 2**32 - 1))

    def takes(self, epoch: int, *, superseded: bool = False) -> bool:
        """Whether observations of `epoch` count, superseded by those of a newer one or not."""
        in_time = self.until is None or epoch < self.until
        return self.observed and in_time and not (superseded and self.ordered)

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
        raise TypeError(
            "only columns that keep no more than their value tells can be set, such as Last or "
            f"Mean, got {self!r}"
        )


@dataclass(frozen=True)
class NotObserved(Column):
    """A column that takes no observations, and so has no signal."""

    observed = False
    signal: None = field(default=None, init=False, repr=False)
    until: None = field(default=None, init=False, repr=False)


def signals_of(columns: Mapping[str, Column]) -> list[str]:
    """Return the signals that columns are made of, ascending: what a log keeps."""
    return sorted({column.signal or name for name, column in columns.items() if column.observed})


def native(
    column: Column, signal: int, parts: Mapping[str, A]
) -> tuple[str, int, float, dict[str, A]]:
    """Describe a column to the native fold: kind, number of its signal, parameter, parts."""
    return column.kind, signal, column.parameter, dict(parts)


def checked_column(name: object, column: object) -> Column:
    """Return a column as a table keeps it, when its name can be one."""
    if not isinstance(name, str) or not name or "/" in name or name in {"seen", "known"}:
        raise ValueError(
            "a column's name must be a non-empty string without '/', not 'seen' or 'known', got "
            f"{name!r}"
        )
    if not isinstance(column, Column):
        raise TypeError(f"column {name!r} must be a Column, got {type(column).__name__}")
    return column
