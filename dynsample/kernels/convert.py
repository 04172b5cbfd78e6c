"""Arrays in, arrays of the same kind out: numpy, or torch tensors on the CPU, without a copy."""

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


def is_tensor(value: object) -> TypeIs[torch.Tensor]:
    """Whether `value` is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def plain(value: object) -> object:
    """Return a number of numpy or torch as one of Python; anything else as it is."""
    if isinstance(value, np.generic) or (
        (isinstance(value, np.ndarray) or is_tensor(value)) and value.ndim == 0
    ):
        return value.item()
    return value


def column(value: A, name: str, dtype: type[np.generic]) -> A:
    """Return `value`, numpy or torch, as a one-dimensional, contiguous array of exactly `dtype`.

    A strided array is copied; another dtype or number of dimensions is an error. What this says of
    an argument is the same wherever the array is.
    """
    found: Any = _column(value, name, dtype)
    same: A = found  # of the kind that `value` is
    return same


def _column(value: object, name: str, dtype: type[np.generic]) -> Array:
    if isinstance(value, np.ndarray) and value.dtype == dtype and value.ndim == 1:
        return np.ascontiguousarray(value)  # in every step: names of dtypes take numpy long to find
    if is_tensor(value):
        found, shape = str(value.dtype).removeprefix("torch."), tuple(value.shape)
    elif isinstance(value, np.ndarray):
        found, shape = str(value.dtype), value.shape
    else:
        kind = type(value).__name__
        raise TypeError(f"{name} must be a numpy array or a torch tensor, got {kind}")
    wanted = np.dtype(dtype).name
    if found != wanted:
        hint = ": convert it to float32 first" if (wanted, found) == ("float32", "float64") else ""
        raise TypeError(f"{name} must have dtype {wanted}, got {found}{hint}")
    if len(shape) != 1:
        raise ValueError(f"{name} must have one dimension, got shape {shape}")
    return value.detach().contiguous() if is_tensor(value) else np.ascontiguousarray(value)


def beside(value: A, name: str, dtype: type[np.generic], first: Array, first_name: str) -> A:
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


def _place(array: Array) -> str:
    place = str(array.device) if is_tensor(array) else "cpu"
    return "the CPU" if place == "cpu" else place


def as_numpy(value: object, name: str, dtype: type[S]) -> NDArray[S]:
    """View `value`, as `column` gives it, as a numpy array; it must be in host memory."""
    if is_tensor(value) and value.device.type != "cpu":
        raise ValueError(f"{name} must be on the CPU, got a tensor on {value.device}")
    return host(_column(value, name, dtype))


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


def as_subset(subset: object, num_samples: int) -> NDArray[np.int64]:
    """Ids of a subset of the data set, ascending, when each is there once."""
    ids = subset.detach().cpu().numpy() if is_tensor(subset) else np.asarray(subset)
    if ids.ndim != 1 or (len(ids) and ids.dtype.kind not in "iu"):
        raise TypeError(f"subset must be a one-dimensional integer array, got {ids.dtype}")
    unique = np.unique(ids.astype(np.int64))
    if len(unique) != len(ids):
        raise ValueError(f"subset must not repeat ids: {len(ids) - len(unique)} are repeated")
    if len(unique) and not (unique[0] >= 0 and unique[-1] < num_samples):
        raise IndexError(
            f"subset must hold ids in [0, {num_samples}), got {unique[0]} to {unique[-1]}"
        )
    return unique
