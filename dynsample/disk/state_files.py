"""Files of a saved state, tensors and the index: written, and checked to the last byte.

Checked are sizes, checksums and the format version, and what stands behind right checksums.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import numpy as np
from numpy.typing import NDArray

from dynsample.disk import fields as _fields
from dynsample.disk import tensors as _tensors
from dynsample.disk.fields import (
    MAX_JSON,
    Check,
    Mismatch,
    anything,
    integer,
    mapping,
    one_of,
    record,
)
from dynsample.disk.files import open_regular

FORMAT = "dynsample"
VERSION = 1
INDEX = "index.json"


class StateError(ValueError):
    """A saved state that cannot be used: damaged, foreign, newer, or of another run.

    Examples
    --------
    >>> ds.Sampler(4).load("nowhere")
    Traceback (most recent call last):
        ...
    dynsample.disk.state_files.StateError: nowhere holds no saved state: index.json is missi...
    """


Tensors = dict[str, NDArray[Any]]


class Body(TypedDict):
    """What the index of a generation says; `facts` are those of whoever saves."""

    generation: int
    headers: dict[str, int]
    parts: list[list[int]]
    facts: dict[str, object]


class _Index(TypedDict):
    version: int
    crc32: int
    body: str


class _Metadata(TypedDict):
    crc32: str


def _file_names(value: object, name: str) -> dict[str, int]:
    sums = mapping(_tensors.CRC)(value, name)
    for file in sums:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", file, re.ASCII):
            raise Mismatch(f"{name} must name files of the state, got {_fields.shown(file)}")
    return sums


_PARTS = _fields.array(_fields.array(integer(0, 2**63 - 1)))
_INDEX: Check[_Index] = record(
    {
        "format": one_of(FORMAT),
        "version": integer(-(2**63), 2**63),
        "crc32": _tensors.CRC,
        "body": _fields.text,
    }
)
_BODY: Check[Body] = record(
    {
        "generation": integer(1, 2**53),
        "headers": _file_names,
        "parts": _PARTS,
        "facts": mapping(anything),
    }
)
_METADATA: Check[_Metadata] = record(
    {"format": one_of(FORMAT), "version": one_of(str(VERSION)), "crc32": _fields.text}
)


def _header(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    sums = {name: zlib.crc32(_bytes(array)) for name, array in tensors.items()}
    metadata = {"format": FORMAT, "version": str(VERSION), "crc32": json.dumps(sums)}
    columns = {name: (array.dtype, array.shape) for name, array in tensors.items()}
    header = json.dumps({"__metadata__": metadata, **_tensors.entries(columns)[0]}).encode()
    return header + b" " * (-len(header) % 8)


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> int:
    """Write one safetensors file through to the disk; return the checksum of its header."""
    header = _header(tensors)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for array in tensors.values():
            file.write(_bytes(array))
        file.flush()
        os.fsync(file.fileno())
    return zlib.crc32(header)


def read_tensors(
    path: Path, header_crc32: int, wanted: Callable[[str], bool] = lambda name: True
) -> Tensors:
    """Read the tensors of one safetensors file whose names are `wanted`, checking every byte."""
    try:
        with open_regular(path) as file:
            return _read_tensors(file, header_crc32, wanted)
    except FileNotFoundError:
        raise StateError(f"{path} is missing") from None
    except Mismatch as error:
        raise StateError(f"{path} is damaged: {error}") from None
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from error


def _read_tensors(file: BinaryIO, header_crc32: int, wanted: Callable[[str], bool]) -> Tensors:
    raw, length = _tensors.read_header(file)
    if zlib.crc32(raw) != header_crc32:
        raise Mismatch("its header does not have the checksum of the index")
    header = _fields.parse(raw, mapping(anything), "the header")
    metadata = _METADATA(header.pop("__metadata__", None), "__metadata__")
    places = _tensors.places(header, length)
    sums = _fields.parse(metadata["crc32"].encode(), mapping(_tensors.CRC), "__metadata__.crc32")
    if sums.keys() != places.keys():
        raise Mismatch(f"__metadata__.crc32 must name {[*places]}, got {_fields.shown([*sums])}")
    begin, found = file.tell(), {}
    for name, place in places.items():
        if wanted(name):
            file.seek(begin + place.start)
            found[name] = _read_tensor(file, name, place, sums[name])
    return found


def _read_tensor(file: BinaryIO, name: str, place: _tensors.Place, crc32: int) -> NDArray[Any]:
    try:
        tensor = np.empty(place.shape, place.dtype)
    except MemoryError:
        size = place.stop - place.start
        raise Mismatch(f"{name} has {size} bytes, more than there is memory for") from None
    content = tensor.reshape(-1).view(np.uint8)
    if file.readinto(content.data) != len(content):  # type: ignore[attr-defined]
        raise Mismatch(f"the file became shorter while {name} was read")
    if zlib.crc32(content.data) != crc32:
        raise Mismatch(f"{name} does not have its checksum")
    return tensor


def write_index(temporary: Path, body: Body) -> None:
    """Write an index through to the disk, to be renamed to where it counts."""
    text = json.dumps(body)
    crc = zlib.crc32(text.encode())
    index = json.dumps({"format": FORMAT, "version": VERSION, "crc32": crc, "body": text})
    if len(index) > MAX_JSON:
        raise StateError(f"facts must be short: the index has {len(index)} bytes of {MAX_JSON}")
    with temporary.open("w") as file:
        file.write(index)
        file.flush()
        os.fsync(file.fileno())


def read_index(path: Path) -> Body:
    """Read and check the index of a saved state."""
    file = path / INDEX
    try:
        with open_regular(file) as opened:
            content = opened.read(MAX_JSON + 1)
        index = _fields.parse(content, _INDEX, "the index")
    except FileNotFoundError:
        raise StateError(f"{path} holds no saved state: {INDEX} is missing") from None
    except OSError as error:
        raise StateError(f"{file} cannot be read: {error.strerror}") from error
    except Mismatch as error:
        raise StateError(
            f"{file} is damaged, or not an index that dynsample wrote: {error}"
        ) from None
    if index["version"] < 1:
        raise StateError(f"{file} is damaged: format version {index['version']}")
    if index["version"] > VERSION:
        raise StateError(
            f"{file} has format version {index['version']}; this dynsample reads up to {VERSION}: "
            "upgrade it"
        )
    try:
        content = index["body"].encode("utf-8", "surrogatepass")
        if zlib.crc32(content) != index["crc32"]:
            raise Mismatch("it does not have its checksum")
        return _fields.parse(content, _BODY, "body")
    except Mismatch as error:
        raise StateError(f"{file} is damaged: {error}") from None
