"""Headers of safetensors files: made, and checked as far as they say where the tensors are."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple, TypedDict

import numpy as np
from numpy.typing import DTypeLike

from dynsample.disk.fields import (
    MAX_JSON,
    Check,
    Mismatch,
    array,
    integer,
    mapping,
    one_of,
    record,
    shown,
)

_NAME_OF = {"bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16",
            "uint32": "U32", "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16",
            "float32": "F32", "float64": "F64"}  # fmt: skip
_DTYPE_OF = {name: np.dtype(dtype) for dtype, name in _NAME_OF.items()}
_SIZES = integer(0, 2**63 - 1)


class Entry(TypedDict):
    """What a header says of a tensor."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]


_ENTRIES: Check[dict[str, Entry]] = mapping(
    record(
        {
            "dtype": one_of(*_DTYPE_OF),
            "shape": array(_SIZES),
            "data_offsets": array(_SIZES, length=2),
        }
    )
)
CRC = integer(0, 2**32 - 1)
_MAX_DIMENSIONS = 32  # of numpy 1


class Place(NamedTuple):
    """Where a tensor is in the file, and what it is."""

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


def entries(
    columns: Mapping[str, tuple[DTypeLike, tuple[int, ...]]],
) -> tuple[dict[str, Entry], int]:
    """Return the header's entries of tensors that lie back to back, and their bytes in all."""
    found: dict[str, Entry] = {}
    at = 0
    for name, (dtype, shape) in columns.items():
        stop = at + math.prod(shape) * np.dtype(dtype).itemsize
        kind = _NAME_OF[np.dtype(dtype).name]
        found[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, stop]}
        at = stop
    return found, at


def read_header(file: BinaryIO) -> tuple[bytes, int]:
    """Return the header, and the number of bytes that follow it.

    Raises
    ------
    Mismatch
        When its length is not one that the file and its kind can have.
    """
    found = os.fstat(file.fileno()).st_size
    size = int.from_bytes(file.read(8), "little")
    if not 2 <= size <= min(found - 8, MAX_JSON):
        raise Mismatch(f"the header's length must be in [2, {found - 8}], got {size}")
    header = file.read(size)
    if len(header) < size:
        raise Mismatch("the file became shorter while it was read")
    return header, found - 8 - size


def places(fields: Mapping[str, object], length: int) -> dict[str, Place]:
    """Return the tensors of a header, which must fill `length` bytes without gap or overlap."""
    found, at = {}, 0
    for name, entry in _ENTRIES(fields, "header").items():
        dtype, shape = _DTYPE_OF[entry["dtype"]], tuple(entry["shape"])
        start, stop = entry["data_offsets"]
        if len(shape) > _MAX_DIMENSIONS or math.prod(max(n, 1) for n in shape) >= 2**59:
            raise Mismatch(f"{name}.shape is none that an array can have, got {shown(shape)}")
        if start != at or stop - start != math.prod(shape) * dtype.itemsize:
            raise Mismatch(
                f"{name}.data_offsets must begin at {at} and hold {dtype}{list(shape)}, got "
                f"{entry['data_offsets']}"
            )
        found[name] = Place(dtype, shape, start, stop)
        at = stop
    if at != length:
        raise Mismatch(f"the file has {length} bytes of tensors, its header says {at}")
    return found
