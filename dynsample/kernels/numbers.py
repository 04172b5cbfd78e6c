"""Numbers that a user makes up, such as probabilities: any sequence of them is taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.checks import MAX_SAMPLES
from dynsample.kernels.convert import (
    admitted,
    as_ids,
    dtype_name,
    host,
    is_real,
    is_tensor,
    on_host,
    to_host,
)
from dynsample.kernels.namespace import namespace_of
from dynsample.kernels.protocol import A, Array

if TYPE_CHECKING:
    import torch

_LEAST = float(np.finfo(np.float32).smallest_subnormal)
_INFINITY = np.float32(np.inf)
_WIDE = {"float64", "float96", "float128", "longdouble"}  # with a range beyond that of float32


def sequence(value: object, name: str) -> Array:
    """Return a sequence of numbers as numpy has it; arrays and tensors as they are."""
    if type(value) is np.ndarray:
        return value
    known = admitted(value, name)
    if isinstance(known, np.ndarray) or is_tensor(known):
        return known
    try:
        array = np.asarray(known)
    except Exception:  # whatever the parts raise: nested unevenly, or tensors on a device
        array = np.array(None)
    if array.dtype.kind not in "biufc":
        kind = type(value).__name__
        raise TypeError(f"{name} must be a sequence of numbers, got {kind} {value!r:.60}")
    return array


@overload
def reals(value: torch.Tensor, name: str) -> torch.Tensor: ...


@overload
def reals(value: object, name: str) -> Array: ...


def reals(value: object, name: str) -> Array:
    """Round a sequence of real numbers to float32: contiguous, of numpy, or a tensor if it is one.

    Lists, tuples, ranges, arrays and tensors of any real dtype are taken. A number other than 0
    stays other than 0.

    Raises
    ------
    TypeError
        For what does not consist of real numbers.
    ValueError
        For other than one dimension, and for a finite number that float32 does not reach.
    """
    return _rounded(_of_real_numbers(value, name), name)


def relative(value: A, name: str) -> A:
    """Return `reals` of numbers that count up to a common factor, scaled where float64 needs it.

    Where the largest finite one is outside of [2**-64, 2**64], all are multiplied by a power of two
    first, which rounds nothing.
    """
    array = _of_real_numbers(value, name)
    if dtype_name(array) in _WIDE:
        finite = array[namespace_of(array).isfinite(array)]
        largest = float(finite.max()) if len(finite) else 0.0
        exponent = max(math.frexp(largest)[1], -1000)  # 2.0**1001 and up to 2.0**1074 overflow
        if largest > 0 and abs(exponent) > 64:
            array = array * 2.0**-exponent
    rounded: Any = _rounded(array, name)
    same: A = rounded  # a tensor, if `value` is one
    return same


def _of_real_numbers(value: object, name: str) -> Array:
    array = sequence(value, name)
    if array.is_complex() if is_tensor(array) else not is_real(array):
        raise TypeError(f"{name} must be real numbers, got dtype {dtype_name(array)}")
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {tuple(array.shape)}")
    return array.detach() if is_tensor(array) else array


def _rounded(array: Array, name: str) -> Array:
    if is_tensor(array):
        rounded: Any = array.float().contiguous()
    else:
        with np.errstate(over="ignore", under="ignore"):
            rounded = np.ascontiguousarray(array, np.float32)
    if dtype_name(array) in _WIDE:
        xp: Any = namespace_of(array)
        beyond = xp.isinf(rounded) & xp.isfinite(array)
        if beyond.any():
            raise ValueError(
                f"{name} must be at most {np.finfo(np.float32).max} in size, as float32 is, got "
                f"{float(array[beyond][0])}"
            )
        least = xp.copysign(xp.full_like(rounded, _LEAST), rounded)
        rounded = xp.where((rounded == 0) & (array != 0), least, rounded)
    result: Array = rounded
    return result


def reals_on_host(value: object, name: str) -> NDArray[np.float32]:
    """Return `reals` as a numpy array; a tensor must be on the CPU."""
    return host(reals(on_host(value, name), name))


def relative_on_host(value: object, name: str) -> NDArray[np.float32]:
    """Return `relative` as a numpy array; a tensor must be on the CPU."""
    return host(relative(sequence(on_host(value, name), name), name))


def integers(value: object, name: str) -> NDArray[np.integer]:
    """Return a sequence of integers as an array of their dtype, in host memory; bools are none.

    Raises
    ------
    TypeError
        For anything else, and for other than one dimension.
    """
    array = to_host(sequence(value, name))
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        found = f"{array.dtype} of shape {array.shape}"
        of_mask = name == "subset" and array.dtype.kind == "b"
        hint = "; np.flatnonzero gives the ids of a mask" if of_mask else ""
        raise TypeError(f"{name} must be a one-dimensional integer array, got {found}{hint}")
    return array if len(array) else array.astype(np.int64)


def as_subset(subset: object, num_samples: int) -> NDArray[np.int64]:
    """Ids of a subset of the data set, ascending, when each is there once."""
    ids = integers(subset, "subset")
    unique = np.unique(as_ids(ids, "subset"))
    if len(unique) != len(ids):
        raise ValueError(f"subset must not repeat ids: {len(ids) - len(unique)} are repeated")
    if len(unique) and not (unique[0] >= 0 and unique[-1] < num_samples):
        raise IndexError(
            f"subset must hold ids in [0, {num_samples}), got {unique[0]} to {unique[-1]}"
        )
    return unique


def as_row_ids(index: object, num_samples: int) -> NDArray[np.int64]:
    """Return data-set ids of the rows of a table, strictly ascending, read only."""
    array = as_ids(index)
    if len(array) != num_samples:
        raise ValueError(f"index must have num_samples = {num_samples} entries, got {len(array)}")
    if num_samples and not (array[0] >= 0 and array[-1] < MAX_SAMPLES):
        raise IndexError(f"index must be in [0, {MAX_SAMPLES}), got {array[0]} to {array[-1]}")
    if not (array[1:] > array[:-1]).all():
        raise ValueError("index must be strictly ascending")
    view: NDArray[np.int64] = array.view()
    view.flags.writeable = False
    return view


def rows_of_ids(ids: NDArray[np.int64], num_ids: int) -> NDArray[np.int32]:
    """Return the row of every id in [0, num_ids), -1 for one that has none."""
    rows = np.full(num_ids, -1, np.int32)
    rows[ids] = np.arange(len(ids), dtype=np.int32)
    return rows


def rounded_up(number: float) -> float:
    """Return the least float32 that is not below a number."""
    with np.errstate(over="ignore"):
        rounded = np.float32(number)
    return float(np.nextafter(rounded, _INFINITY) if float(rounded) < number else rounded)
