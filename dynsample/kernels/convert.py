"""The door for arrays: those of numpy and torch are taken as they are, without a copy.

Those of other libraries become numpy's here. The dtype must be right; numbers that a user makes up
have a door of their own, `numbers`.
"""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.protocol import A, Array

if TYPE_CHECKING:
    import torch
    from typing_extensions import TypeIs

S = TypeVar("S", bound=np.generic)

KINDS = "a numpy, torch or DLPack array"


def is_tensor(value: object) -> TypeIs[torch.Tensor]:
    """Whether `value` is a torch tensor; never imports torch."""
    if type(value) is np.ndarray:
        return False
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_foreign(value: object) -> bool:
    """Whether `value` is an array of another library than numpy and torch."""
    known = isinstance(value, np.ndarray) or is_tensor(value)
    return not known and hasattr(value, "__dlpack__")


def admitted(value: object, name: str) -> object:
    """Return an array of another library as numpy; one of numpy or torch, and all else, as it is.

    Through DLPack it is viewed where it lies. What numpy has no view of, as bfloat16, an array in
    parts, or the memory of a device, its library converts: that copies, and waits for a device.

    Raises
    ------
    TypeError
        When it cannot be read, as while a function is traced.
    """
    if not is_foreign(value):
        return value
    try:
        return np.from_dlpack(value)  # type: ignore[arg-type]  # it has __dlpack__
    except Exception:  # numpy's or the library's own, of which each has others
        pass
    try:
        return np.asarray(value)
    except Exception as error:
        kind = type(value).__name__
        raise TypeError(f"{name} must have numbers to read, got {kind}: {error}") from error


def is_real(array: NDArray[Any]) -> bool:
    """Whether an array holds real numbers or truth values; bfloat16 is no type of numpy itself."""
    return array.dtype.kind in "biuf" or array.dtype.name == "bfloat16"


def plain(value: object) -> object:
    """Return a number of numpy or torch as one of Python; anything else as it is."""
    if isinstance(value, np.generic) or (
        (isinstance(value, np.ndarray) or is_tensor(value)) and value.ndim == 0
    ):
        return value.item()
    return value


def column(value: A, name: str, dtype: type[np.generic]) -> A:
    """Return `value` as a one-dimensional, contiguous array of exactly `dtype`.

    It is numpy's, unless `value` is a tensor. A strided array is copied; another dtype or number of
    dimensions is an error. What this says of an argument is the same wherever the array is.
    """
    found: Any = _column(value, name, dtype)
    same: A = found  # a tensor, if `value` is one
    return same


def _column(value: object, name: str, dtype: type[np.generic]) -> Array:
    if isinstance(value, np.ndarray) and value.dtype == dtype and value.ndim == 1:
        return np.ascontiguousarray(value)  # in every step: names of dtypes take numpy long to find
    value = as_array(value, name)
    found, shape, wanted = dtype_name(value), tuple(value.shape), np.dtype(dtype).name
    if found != wanted:
        hint = ": convert it to float32 first" if (wanted, found) == ("float32", "float64") else ""
        raise TypeError(f"{name} must have dtype {wanted}, got {found}{hint}")
    if len(shape) != 1:
        raise ValueError(f"{name} must have one dimension, got shape {shape}")
    return value.detach().contiguous() if is_tensor(value) else np.ascontiguousarray(value)


def as_array(value: object, name: str) -> Array:
    """Return an array of whatever library as it is admitted; anything else is a TypeError."""
    array = admitted(value, name)
    if not isinstance(array, np.ndarray) and not is_tensor(array):
        raise TypeError(f"{name} must be {KINDS}, got {type(value).__name__}")
    return array


def dtype_name(array: Array) -> str:
    """Name a dtype of numpy or torch."""
    return str(array.dtype).removeprefix("torch.") if is_tensor(array) else array.dtype.name


def beside(value: A, name: str, dtype: type[np.generic], first: Array, first_name: str) -> A:
    """Return `value` as `column` does, if it has as many rows as `first` and lies where it does."""
    array = column(value, name, dtype)
    if len(array) != len(first):
        raise ValueError(
            f"{name} must have {len(first)} rows, as many as {first_name}, got {len(array)}"
        )
    if is_tensor(array) or is_tensor(first):
        here, there = _place(array), _place(first)
        if here != there:
            raise ValueError(f"{name} must be on {there}, as {first_name} is, got {here}")
    return array


def _place(array: Array) -> str:
    place = str(array.device) if is_tensor(array) else "cpu"
    return "the CPU" if place == "cpu" else place


@overload
def to_host(value: Array) -> NDArray[Any]: ...


@overload
def to_host(value: object) -> object: ...


def to_host(value: object) -> object:
    """Return an array, of whatever library and wherever it is, as numpy; all else as it is."""
    return value.detach().cpu().numpy() if is_tensor(value) else admitted(value, "array")


def check_ids(value: object, name: str = "index") -> Array:
    """Return ids as they are: an array or tensor [B] or [B, 1] of any integer dtype."""
    ids = as_array(value, name)
    found, shape = dtype_name(ids), tuple(ids.shape)
    integers = found.startswith(("int", "uint")) if is_tensor(ids) else ids.dtype.kind in "iu"
    if not integers and 0 not in shape:  # an empty list has no dtype of its own
        raise TypeError(f"{name} must have an integer dtype, got {found}")
    if len(shape) != 1 and (len(shape) != 2 or shape[1] != 1):
        raise ValueError(f"{name} must have one dimension, got shape {shape}")
    return ids


def as_ids(value: object, name: str = "index") -> NDArray[np.int64]:
    """Return ids in host memory as a contiguous int64[B], whatever integer dtype they have.

    The one door for ids that users give. They are taken by value: one that int64 does not hold is
    an IndexError that names it.
    """
    ids = to_host(check_ids(on_host(value, name), name))
    if ids.dtype.kind == "u" and ids.size and ids.max() > np.iinfo(np.int64).max:
        raise IndexError(f"{name} must hold ids below 2**63, got {ids.max()}")
    return np.require(ids.reshape(-1), np.int64, ["C", "A", "E"])


def as_numpy(value: object, name: str, dtype: type[S]) -> NDArray[S]:
    """View `value`, as `column` gives it, as a numpy array; it must be in host memory."""
    return host(_column(on_host(value, name), name, dtype))


def on_host(value: object, name: str) -> object:
    """Return `value`, unless it is a tensor on a device, which is an error."""
    if is_tensor(value) and value.device.type != "cpu":
        raise ValueError(f"{name} must be on the CPU, got a tensor on {value.device}")
    return value


@overload
def host(array: None) -> None: ...


@overload
def host(array: Array) -> NDArray[Any]: ...


def host(array: Array | None) -> NDArray[Any] | None:
    """View an array in host memory as numpy; None stays None."""
    return array.numpy() if is_tensor(array) else array


def as_tensor(array: Array) -> torch.Tensor:
    """Return an array that is on a device as what it is there."""
    assert is_tensor(array)
    return array


def like(result: Array, template: A) -> A:
    """Return `result` as the kind of `template`: a tensor that shares its memory, or itself."""
    if is_tensor(template) and not is_tensor(result):
        import torch

        result = torch.from_numpy(result)
    found: Any = result
    same: A = found
    return same


def fingerprint(array: NDArray[Any]) -> str:
    """Identity of an array's dtype, shape and content, for resume checks."""
    identity = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    identity.update(np.ascontiguousarray(array).view(np.uint8).data)
    return identity.hexdigest()
