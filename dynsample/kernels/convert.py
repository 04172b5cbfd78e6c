"""The door for arrays and numbers: what users give becomes what the kernels take.

Columns of a table are taken as they are, numpy or torch, without a copy, and their dtype must be
right. Numbers that a user makes up, such as probabilities, may be any sequence of real ones.
"""

from __future__ import annotations

import hashlib
import math
import sys
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LEAST = float(np.finfo(np.float32).smallest_subnormal)


def is_tensor(value: object) -> bool:
    """Whether `value` is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def plain(value: Any) -> Any:
    """Return a number of numpy or torch as one of Python; anything else as it is."""
    scalar = isinstance(value, np.generic) or (
        (isinstance(value, np.ndarray) or is_tensor(value)) and value.ndim == 0
    )
    return value.item() if scalar else value


def column(value: Any, name: str, dtype: DTypeLike) -> Any:
    """Return `value`, numpy or torch, as a one-dimensional, contiguous array of exactly `dtype`.

    A strided array is copied; another dtype or number of dimensions is an error. What this says of
    an argument is the same wherever the array is.
    """
    if isinstance(value, np.ndarray) and value.dtype == dtype and value.ndim == 1:
        return np.ascontiguousarray(value)  # in every step: names of dtypes take numpy long to find
    if not is_tensor(value) and not isinstance(value, np.ndarray):
        kind = type(value).__name__
        raise TypeError(f"{name} must be a numpy array or a torch tensor, got {kind}")
    found, shape, wanted = _dtype(value), tuple(value.shape), np.dtype(dtype).name
    if found != wanted:
        hint = ": convert it to float32 first" if (wanted, found) == ("float32", "float64") else ""
        raise TypeError(f"{name} must have dtype {wanted}, got {found}{hint}")
    if len(shape) != 1:
        raise ValueError(f"{name} must have one dimension, got shape {shape}")
    return value.detach().contiguous() if is_tensor(value) else np.ascontiguousarray(value)


def reals(value: Any, name: str) -> Any:
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


def relative(value: Any, name: str) -> Any:
    """Return `reals` of numbers that count up to a common factor, scaled where float64 needs it.

    Where the largest finite one is outside of [2**-64, 2**64], all are multiplied by a power of two
    first, which rounds nothing.
    """
    array = _of_real_numbers(value, name)
    if _is_wide(array):
        finite = array[_module(array).isfinite(array)]
        largest = float(finite.max()) if len(finite) else 0.0
        exponent = max(math.frexp(largest)[1], -1000)  # 2.0**1001 and up to 2.0**1074 overflow
        if largest > 0 and abs(exponent) > 64:
            array = array * 2.0**-exponent
    return _rounded(array, name)


def _of_real_numbers(value: Any, name: str) -> Any:
    array = sequence(value, name)
    if array.is_complex() if is_tensor(array) else array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, got dtype {_dtype(array)}")
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {tuple(array.shape)}")
    return array.detach() if is_tensor(array) else array


def sequence(value: Any, name: str) -> Any:
    """Return a sequence of numbers as numpy has it; arrays and tensors as they are."""
    if isinstance(value, np.ndarray) or is_tensor(value):
        return value
    try:
        array = np.asarray(value)
    except Exception:  # whatever the parts raise: nested unevenly, or tensors on a device
        array = np.array(None)
    if array.dtype.kind not in "biufc":
        kind = type(value).__name__
        raise TypeError(f"{name} must be a sequence of numbers, got {kind} {value!r:.60}")
    return array


def _dtype(array: Any) -> str:
    return str(array.dtype).removeprefix("torch.") if is_tensor(array) else array.dtype.name


def _module(array: Any) -> Any:
    return sys.modules["torch"] if is_tensor(array) else np


def _is_wide(array: Any) -> bool:
    """Whether the numbers have a range beyond that of float32."""
    return _dtype(array) in {"float64", "float96", "float128", "longdouble"}


def _rounded(array: Any, name: str) -> Any:
    if is_tensor(array):
        rounded = array.float().contiguous()
    else:
        with np.errstate(over="ignore", under="ignore"):
            rounded = np.ascontiguousarray(array, np.float32)
    if not _is_wide(array):
        return rounded
    xp = _module(array)
    beyond = xp.isinf(rounded) & xp.isfinite(array)
    if beyond.any():
        raise ValueError(
            f"{name} must be at most {np.finfo(np.float32).max} in size, as float32 is, got "
            f"{float(array[beyond][0])}"
        )
    least = xp.copysign(xp.full_like(rounded, _LEAST), rounded)
    return xp.where((rounded == 0) & (array != 0), least, rounded)


def beside(value: Any, name: str, dtype: DTypeLike, first: Any, first_name: str) -> Any:
    """Return `value` as `column` does, if it has as many rows as `first` and lies where it does."""
    array = column(value, name, dtype)
    if len(array) != len(first):
        raise ValueError(
            f"{name} must have {len(first)} rows, as many as {first_name}, got {len(array)}"
        )
    here, there = _place(array), _place(first)
    if here != there:
        raise ValueError(f"{name} must be on {there}, as {first_name} is, got {here}")
    return array


def _place(array: Any) -> str:
    place = str(array.device) if is_tensor(array) else "cpu"
    return "the CPU" if place == "cpu" else place


def as_numpy(value: Any, name: str, dtype: DTypeLike) -> NDArray[Any]:
    """View `value`, as `column` gives it, as a numpy array; it must be in host memory."""
    array: NDArray[Any] = host(column(_on_host(value, name), name, dtype))
    return array


def reals_on_host(value: Any, name: str) -> NDArray[np.float32]:
    """Return `reals` as a numpy array; a tensor must be on the CPU."""
    array: NDArray[np.float32] = host(reals(_on_host(value, name), name))
    return array


def relative_on_host(value: Any, name: str) -> NDArray[np.float32]:
    """Return `relative` as a numpy array; a tensor must be on the CPU."""
    array: NDArray[np.float32] = host(relative(_on_host(value, name), name))
    return array


def _on_host(value: Any, name: str) -> Any:
    if is_tensor(value) and value.device.type != "cpu":
        raise ValueError(f"{name} must be on the CPU, got a tensor on {value.device}")
    return value


def host(array: Any) -> Any:
    """View an array in host memory as numpy; None stays None."""
    return array.numpy() if is_tensor(array) else array


def like(result: Any, template: object) -> Any:
    """Return `result` as the kind of `template`: a tensor that shares its memory, or itself."""
    if is_tensor(template) and not is_tensor(result):
        return sys.modules["torch"].from_numpy(result)
    return result


def fingerprint(array: NDArray[Any]) -> str:
    """Identity of an array's dtype, shape and content, for resume checks."""
    identity = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    identity.update(np.ascontiguousarray(array).view(np.uint8).data)
    return identity.hexdigest()


def integers(value: Any, name: str) -> NDArray[np.integer[Any]]:
    """Return a sequence of integers as an array of their dtype, in host memory; bools are none.

    Raises
    ------
    TypeError
        For anything else, and for other than one dimension.
    """
    array = sequence(value, name)
    array = array.detach().cpu().numpy() if is_tensor(array) else array
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        found = f"{array.dtype} of shape {array.shape}"
        raise TypeError(f"{name} must be a one-dimensional integer array, got {found}")
    checked: NDArray[np.integer[Any]] = array if len(array) else array.astype(np.int64)
    return checked


def as_subset(subset: Any, num_samples: int) -> NDArray[np.int64]:
    """Ids of a subset of the data set, ascending, when each is there once."""
    ids = integers(subset, "subset")
    unique = np.unique(ids.astype(np.int64))
    if len(unique) != len(ids):
        raise ValueError(f"subset must not repeat ids: {len(ids) - len(unique)} are repeated")
    if len(unique) and not (unique[0] >= 0 and unique[-1] < num_samples):
        raise IndexError(
            f"subset must hold ids in [0, {num_samples}), got {unique[0]} to {unique[-1]}"
        )
    return unique
