"""How often rows were issued, and when last: a column that no signal updates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels import Array
from dynsample.kernels.convert import as_tensor, is_tensor
from dynsample.kernels.namespace import float32
from dynsample.table.column import Column, NotObserved, Parts


@dataclass(frozen=True)
class Issued(NotObserved):
    """How often each row was issued, and in which epoch last: from the plans, without a signal.

    When an epoch is over, its positions that were handed out count, on whichever rank: a row that
    was drawn twice counts twice, and what `drop_last` or a loop that was left did not hand out does
    not count, nor does the pass over the hidden samples. An epoch that is dropped by
    ``set_epoch(..., restart=True)`` was not issued. Policies read it as `ScoreTable.issued`; its
    value is the count.

    Examples
    --------
    >>> sampler = ds.Sampler(4, columns={"issued": ds.Issued()})
    >>> for epoch in range(3):
    ...     sampler.set_epoch(epoch)
    ...     handed_out = list(sampler)
    >>> sampler.table["issued"]
    array([2., 2., 2., 2.], dtype=float32)
    """

    kind = "issued"
    nan_until_observed = False

    def allocate(self, num_samples: int) -> dict[str, NDArray[Any]]:
        """Allocate `count` uint32[N], and `last_epoch` int64[N], -1 for a row never issued."""
        return {
            "count": np.zeros(num_samples, np.uint32),
            "last_epoch": np.full(num_samples, -1, np.int64),
        }

    def value(self, parts: Parts) -> Array:
        """Return the count, 0 for a row never issued."""
        return float32(parts["count"])

    def noted(self, parts: Parts, rows: Iterable[Array], epoch: int) -> dict[str, Array]:
        """Return the parts, in new arrays, after rows were issued in an epoch.

        Parameters
        ----------
        parts : mapping of str to array
        rows : iterable of int64 arrays
            As often as they were issued, in any order; where the parts are.
        epoch : int
        """
        count, last_epoch = _copy(parts["count"]), _copy(parts["last_epoch"])
        for some in rows:
            _add_one(count, some)
            last_epoch[some] = epoch
        return {"count": count, "last_epoch": last_epoch}


@dataclass(frozen=True)
class IssuedRows:
    """What a column of kind Issued keeps, read only.

    Attributes
    ----------
    count : uint32[N]
        How often each row was issued; int32 in a tensor.
    last_epoch : int64[N]
        The last epoch that issued it, -1 where none did.
    """

    count: Array
    last_epoch: Array


def names_of_issued(columns: Mapping[str, Column]) -> list[str]:
    """Return the names of the columns of kind Issued."""
    return [name for name, column in columns.items() if isinstance(column, Issued)]


def with_issued(
    columns: Mapping[str, Column],
    parts: Mapping[str, Parts],
    rows: Callable[[], Iterable[Array]],
    epoch: int,
) -> dict[str, dict[str, Array]]:
    """Return the parts of all columns of kind Issued after an epoch issued rows, by name.

    Nothing changes. `rows` gives them, counted from the first of the parts; see `Issued.noted`.
    """
    noted = {}
    for name, column in columns.items():
        if isinstance(column, Issued):
            noted[name] = column.noted(parts[name], rows(), epoch)
    return noted


def _copy(array: Array) -> Array:
    return array.clone() if is_tensor(array) else array.copy()


def _add_one(count: Array, rows: Array) -> None:
    """Add 1 to the count of each row, as often as it is there."""
    if is_tensor(count):
        count.index_add_(0, as_tensor(rows), count.new_ones(len(rows)))
    elif len(rows):
        first = rows.min()  # rows of a part lie together
        times = np.bincount(rows - first)
        count[first : first + len(times)] += times.astype(np.uint32)
