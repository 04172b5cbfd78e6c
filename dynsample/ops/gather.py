"""Rows of columns that lie in memory-mapped files: gathered by index, and asked for ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels.convert import as_ids

if TYPE_CHECKING:
    from dynsample.kernels import Given


def gather_rows(columns: Sequence[NDArray[Any]], index: Given) -> list[NDArray[Any]]:
    """Rows `index` of every column, in one pass.

    When rows of a mapped file are not in memory, the system is asked for all of them at once, so
    that a cold batch costs one wait and not one for every row.

    Parameters
    ----------
    columns : sequence of array [N, ...]
        C-contiguous, of any dtype, with as many rows as each other.
    index : int[B]
        Rows in [0, N); repeated ones are fine.

    Returns
    -------
    list of array [B, ...]

    Examples
    --------
    >>> import numpy as np
    >>> import dynsample as ds
    >>> ds.ops.gather_rows([np.array([10, 20, 30])], np.array([2, 0]))
    [array([30, 10])]
    """
    if not columns:
        return []
    return _core.gather_rows(list(columns), as_ids(index))


def read_ahead(columns: Sequence[NDArray[Any]], index: Given) -> None:
    """Ask the system to read rows `index` of mapped columns in the background.

    Parameters
    ----------
    columns, index
        As in `gather_rows`.

    Examples
    --------
    >>> np.save("rows.npy", np.arange(6).reshape(3, 2))
    >>> rows = np.load("rows.npy", mmap_mode="r")
    >>> ds.ops.read_ahead([rows], np.array([2, 0]))
    >>> ds.ops.gather_rows([rows], np.array([2, 0]))
    [array([[4, 5],
           [0, 1]])]
    """
    _core.read_ahead(list(columns), as_ids(index))
