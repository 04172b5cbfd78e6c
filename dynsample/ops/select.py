"""Selections, reductions and ids of score columns; part of `dynsample.ops`."""

from __future__ import annotations

from typing import cast, overload

import numpy as np
from numpy.typing import NDArray

from dynsample import _core, kernels
from dynsample.kernels import A, Array, Given, TensorT
from dynsample.kernels.arguments import checked_rows, checked_selection
from dynsample.kernels.convert import column


@overload
def hide_lowest(
    scores: TensorT, k: int, eligible: TensorT | None = ..., *, finite_only: bool = ...
) -> TensorT: ...


@overload
def hide_lowest(
    scores: Given, k: int, eligible: Given | None = ..., *, finite_only: bool = ...
) -> NDArray[np.bool_]: ...


def hide_lowest(scores: A, k: int, eligible: A | None = None, *, finite_only: bool = False) -> A:  # type: ignore[misc]
    """Mask of the `k` lowest-scoring samples: one exact set, whatever the threads or the processor.

    Samples compare by (score, index): ties go to the smaller index, -0 equals +0, and NaN is
    higher than everything.

    Parameters
    ----------
    scores : float32[N]
        Numpy array or torch tensor; N is at most 2**32 - 1.
    k : int in [0, N]
        How many to hide; all the eligible when there are no more than `k`.
    eligible : bool[N], optional
        Samples that may be hidden; by default all.
    finite_only : bool
        Never hide NaN and infinities.

    Returns
    -------
    bool[N]
        The same kind of array as `scores`.

    Raises
    ------
    TypeError
        Another dtype or kind of array; `k` not an integer.
    ValueError
        Another shape or length, or `k` out of range.

    Examples
    --------
    >>> import numpy as np
    >>> hide_lowest(np.array([3, 1, 2, 1], np.float32), 2)
    array([False,  True, False,  True])
    """
    rows, count, mask = checked_selection(scores, k, eligible)
    return kernels.of(rows).hide_lowest(rows, count, mask, finite_only=finite_only)


def exact_mean(values: Given, where: Given | None = None, *, finite_only: bool = False) -> float:
    """Mean of float32 values from their exact sum, so that no order or split changes a bit of it.

    The sum is rounded once, to float64 (as `math.fsum` does), and divided by the count.

    Parameters
    ----------
    values : float32[N]
        Numpy array or torch tensor; N is at most 2**32 - 1.
    where : bool[N], optional
        Rows that take part; by default all.
    finite_only : bool
        Leave NaN and infinities out. Otherwise they spread as in numpy.

    Returns
    -------
    float
        NaN when no row takes part.

    Raises
    ------
    TypeError
        Another dtype or kind of array.
    ValueError
        Another shape or length.

    Examples
    --------
    >>> exact_mean(np.array([1e30, 1, -1e30, 3], np.float32))
    1.0
    """
    rows, mask = checked_rows(cast("Array", values), cast("Array | None", where))
    parts = kernels.of(rows).sum_parts(rows, mask, finite_only=finite_only)
    total, count = _core.rounded_sum(parts)
    return total / count if count else float("nan")


def min_max(
    values: Given, where: Given | None = None, *, finite_only: bool = False
) -> tuple[float, float]:
    """Lowest and highest value.

    Parameters
    ----------
    values : float32[N]
        Numpy array or torch tensor; N is at most 2**32 - 1.
    where : bool[N], optional
        Rows that take part; by default all.
    finite_only : bool
        Leave NaN and infinities out.

    Returns
    -------
    tuple of float
        Both NaN when no row takes part, or a NaN does. A zero is +0.

    Raises
    ------
    TypeError
        Another dtype or kind of array.
    ValueError
        Another shape or length.

    Examples
    --------
    >>> min_max(np.array([3, np.nan, 1], np.float32), finite_only=True)
    (1.0, 3.0)
    """
    rows, mask = checked_rows(cast("Array", values), cast("Array | None", where))
    return kernels.of(rows).min_max(rows, mask, finite_only=finite_only)


@overload
def mask_ids(mask: TensorT, *, invert: bool = ...) -> TensorT: ...


@overload
def mask_ids(mask: Given, *, invert: bool = ...) -> NDArray[np.uint32]: ...


def mask_ids(mask: A, *, invert: bool = False) -> A:  # type: ignore[misc]
    """Ascending ids of the rows that are set in `mask`, or of those that are not.

    Parameters
    ----------
    mask : bool[N]
        Numpy array or torch tensor; N is at most 2**32 - 1.
    invert : bool
        List the rows that are not set.

    Returns
    -------
    uint32[count]
        The same kind of array as `mask`.

    Raises
    ------
    TypeError
        Another dtype or kind of array.
    ValueError
        Another shape.

    Examples
    --------
    >>> mask_ids(np.array([True, False, True])).tolist()
    [0, 2]
    """
    rows = column(mask, "mask", np.bool_)
    there = kernels.of(rows)
    return there.unsigned(there.mask_ids(rows, invert=invert))
