"""Saved state: safetensors files in a directory, whole or absent.

A save writes a new generation of files beside the old one and then renames the index over the old
index; whoever is killed in between leaves the previous generation as it was. Everything is checked
on reading: sizes, checksums of headers, tensors and index, format version.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = "dynsample"
VERSION = 1
INDEX = "index.json"

_TO_NAME = {"bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16",
            "uint32": "U32", "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16",
            "float32": "F32", "float64": "F64"}  # fmt: skip
_FROM_NAME = {name: np.dtype(dtype) for dtype, name in _TO_NAME.items()}


class StateError(ValueError):
    """A saved state that cannot be used: damaged, foreign, newer, or of another run."""


Tensors = dict[str, NDArray[Any]]


def _header(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    sums = {name: zlib.crc32(_bytes(array)) for name, array in tensors.items()}
    header: dict[str, Any] = {
        "__metadata__": {
            "format": FORMAT,
            "version": str(VERSION),
            "crc32": json.dumps(sums),
        }
    }
    offset = 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": _TO_NAME[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header).encode()
    return text + b" " * (-len(text) % 8)


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> int:
    """Write one safetensors file through to the disk; give the checksum of its header."""
    header = _header(tensors)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for array in tensors.values():
            file.write(_bytes(array))
        file.flush()
        os.fsync(file.fileno())
    return zlib.crc32(header)


def read_tensors(path: Path, header_crc32: int) -> Tensors:
    """Read one safetensors file, checking every byte of it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise StateError(f"{path} is missing") from None
    size = int.from_bytes(content[:8], "little")
    raw = content[8 : 8 + size]
    if len(content) < 8 or len(raw) != size or zlib.crc32(raw) != header_crc32:
        raise StateError(f"{path} is damaged: its header does not have the checksum of the index")
    header = json.loads(raw)
    metadata = header.pop("__metadata__")
    sums = json.loads(metadata["crc32"])
    body = memoryview(content)[8 + size :]
    if len(body) != max((entry["data_offsets"][1] for entry in header.values()), default=0):
        raise StateError(f"{path} is damaged: {len(content)} bytes are not its full length")
    tensors = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        if zlib.crc32(body[start:stop]) != sums[name]:
            raise StateError(f"{path} is damaged: {name} does not have its checksum")
        dtype = _FROM_NAME[entry["dtype"]]
        tensors[name] = np.frombuffer(body[start:stop], dtype).reshape(entry["shape"]).copy()
    return tensors


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_index(path: Path) -> dict[str, Any]:
    """Read and check the index of a saved state."""
    file = path / INDEX
    try:
        content = json.loads(file.read_bytes())
        if content["format"] != FORMAT:
            raise KeyError
        version, text = int(content["version"]), str(content["body"])
        checksum = content["crc32"]
    except FileNotFoundError:
        raise StateError(f"{path} holds no saved state: {INDEX} is missing") from None
    except (ValueError, KeyError, TypeError):
        raise StateError(f"{file} is damaged, or not an index that dynsample wrote") from None
    if version < 1:
        raise StateError(f"{file} is damaged: format version {version}")
    if version > VERSION:
        raise StateError(
            f"{file} has format version {version}; this dynsample reads up to {VERSION}: upgrade it"
        )
    if zlib.crc32(text.encode()) != checksum:
        raise StateError(f"{file} is damaged: it does not have its checksum")
    body: dict[str, Any] = json.loads(text)
    return body


def save(path: Path, files: Mapping[str, Mapping[str, NDArray[Any]]], facts: Any) -> int:
    """Write a generation; give its number. On an error the previous one stays as it was."""
    path.mkdir(parents=True, exist_ok=True)
    has_previous = (path / INDEX).exists()
    previous = read_index(path)["generation"] if has_previous else 0
    generation = previous + 1
    folder = path / f"generation-{generation:08d}"
    try:
        if folder.exists():  # left by a save that was killed
            shutil.rmtree(folder)
        folder.mkdir()
        headers = {name: write_tensors(folder / name, part) for name, part in files.items()}
        _sync(folder)
        body = json.dumps({"generation": generation, "headers": headers, "facts": facts})
        index = {"format": FORMAT, "version": VERSION, "crc32": zlib.crc32(body.encode()),
                 "body": body}  # fmt: skip
        temporary = folder / INDEX
        with temporary.open("w") as file:
            json.dump(index, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path / INDEX)  # the new generation counts from here on
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        kept = f"; generation {previous} is still there" if has_previous else ""
        raise OSError(error.errno, f"saving to {path} failed: {error.strerror}{kept}") from error
    _sync(path)
    for old in path.glob("generation-*"):
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    return generation


def load(path: Path) -> tuple[dict[str, Tensors], Any]:
    """Read the whole saved state and check it; the files' tensors by name, and the facts."""
    body = read_index(path)
    folder = path / f"generation-{body['generation']:08d}"
    files = {name: read_tensors(folder / name, crc) for name, crc in body["headers"].items()}
    return files, body["facts"]
