"""Arrays as flat words and bytes, which is how they travel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bytes = NDArray[np.uint8]

_WORDS: dict[str, str] = {"int64": "u8", "uint64": "u8", "int32": "u4", "uint32": "u4"}
_SUMMED = {np.dtype(name): np.dtype(word) for name, word in _WORDS.items()}
_MAX_COUNT = 2**31 - 1  # the transports count in C's int


def split(buffer: Bytes, lengths: Sequence[int] | NDArray[np.int64]) -> list[Bytes]:
    """Cut a buffer into consecutive parts of these lengths."""
    stops = np.cumsum(lengths, dtype=np.int64).tolist()
    return [buffer[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def summable(values: ArrayLike) -> NDArray[Any]:
    """Check what is to be summed."""
    array = np.asarray(values)
    if array.dtype not in _SUMMED:
        raise TypeError(f"values must be {', '.join(_WORDS)}, got {array.dtype}")
    if array.size > _MAX_COUNT:
        raise ValueError(
            f"values must be at most {_MAX_COUNT}, got {array.size}: sum them in parts"
        )
    return array


def words(array: NDArray[Any]) -> NDArray[Any]:
    """View as flat and unsigned: unsigned sums wrap by definition, on every transport."""
    return np.ascontiguousarray(array).reshape(-1).view(_SUMMED[array.dtype])


def one_dimensional(values: ArrayLike, name: str) -> NDArray[Any]:
    """Check what is to travel as bytes."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {array.shape}")
    if array.dtype.hasobject:
        raise TypeError(f"{name} must not be Python objects, got {array.dtype}")
    return np.ascontiguousarray(array)


def as_bytes(array: NDArray[Any]) -> Bytes:
    """View a contiguous array as bytes."""
    return array.view(np.uint8)


def join(pieces: list[Bytes]) -> Bytes:
    """Put together what came in pieces; without a copy where it came in one."""
    return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, np.uint8), *pieces])
