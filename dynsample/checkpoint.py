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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsample._disk import sync_folder

if TYPE_CHECKING:
    from dynsample.groups import Group

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


def save(
    path: Path,
    files: Mapping[str, Mapping[str, NDArray[Any]]],
    facts: Any,
    part: list[int],
    group: Group,
) -> int:
    """Write a generation, every rank its files; give its number.

    On an error on any rank the previous generation stays as it was, and every rank raises.
    `part` are integers of each rank that `Saved.parts` gives back. Collective.
    """
    what = f"the save to {path}"
    root = group.rank == 0
    number = group.agree(lambda: _begin(path) if root else 0, what)
    generation = int(group.all_gather(np.array([number]), what)[0][0])
    folder = path / f"generation-{generation:08d}"
    try:
        headers = group.agree(lambda: _write(path, folder, files), what)
        text = json.dumps({"headers": headers, "part": part}).encode()
        parts = [
            json.loads(each.tobytes()) for each in group.all_gather(np.frombuffer(text, "u1"), what)
        ]
        body = {
            "generation": generation,
            "headers": {name: crc for each in parts for name, crc in each["headers"].items()},
            "parts": [each["part"] for each in parts],
            "facts": facts,
        }
        group.agree(lambda: _commit(path, folder, body) if root else None, what)
    except BaseException:
        if root and _generation(path) != generation:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if root:
        for old in path.glob("generation-*"):
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)
    return generation


def _generation(path: Path) -> int:
    """Give the generation that counts, 0 when there is none."""
    generation: int = read_index(path)["generation"] if (path / INDEX).exists() else 0
    return generation


def _explained(path: Path, error: OSError) -> OSError:
    try:
        previous = _generation(path)
    except (OSError, StateError):
        previous = 0
    kept = f"; generation {previous} is still there" if previous else ""
    return OSError(error.errno, f"saving to {path} failed: {error.strerror}{kept}")


def _begin(path: Path) -> int:
    try:
        path.mkdir(parents=True, exist_ok=True)
        generation = _generation(path) + 1
        folder = path / f"generation-{generation:08d}"
        if folder.exists():  # left by a save that was killed
            shutil.rmtree(folder)
        folder.mkdir()
    except OSError as error:
        raise _explained(path, error) from error
    return generation


def _write(
    path: Path, folder: Path, files: Mapping[str, Mapping[str, NDArray[Any]]]
) -> dict[str, int]:
    if not folder.is_dir():
        raise StateError(
            f"{folder} was made by rank 0 and is not there: save to a file system that all ranks "
            "share"
        )
    try:
        headers = {name: write_tensors(_file(folder, name), part) for name, part in files.items()}
        sync_folder(folder)
    except OSError as error:
        raise _explained(path, error) from error
    return headers


def _commit(path: Path, folder: Path, body: Any) -> None:
    text = json.dumps(body)
    crc = zlib.crc32(text.encode())
    index = {"format": FORMAT, "version": VERSION, "crc32": crc, "body": text}
    temporary = folder / INDEX
    try:
        with temporary.open("w") as file:
            json.dump(index, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path / INDEX)  # the new generation counts from here on
    except OSError as error:
        raise _explained(path, error) from error
    sync_folder(path)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


class Saved:
    """A saved state, read file by file.

    Attributes
    ----------
    generation : int
    facts : JSON value
    parts : list of list of int
        What each rank that saved gave as `part`.
    """

    def __init__(self, path: Path) -> None:
        body = read_index(path)
        self.generation, self.facts, self.parts = body["generation"], body["facts"], body["parts"]
        self._folder = path / f"generation-{self.generation:08d}"
        self._headers: dict[str, int] = body["headers"]

    def read(self, name: str) -> Tensors:
        """Read one file and check every byte of it."""
        return read_tensors(_file(self._folder, name), self._headers[name])

    def cut(
        self, name: str, prefix: str, ranges: list[tuple[int, int]], wanted: tuple[int, int]
    ) -> Tensors:
        """Rows of `wanted` out of the files of all ranks, of which each holds a range of rows.

        Of the tensors whose name begins with `prefix` and has no other one.
        """
        pieces: dict[str, list[NDArray[Any]]] = {}
        first, last = wanted
        for rank, (begin, end) in enumerate(ranges):
            here = max(first, begin), min(last, end)
            if here[0] >= here[1] and rank:
                continue  # the first file says what the tensors are, when no row is wanted
            tensors = self.read(f"{name}-{rank:05d}")
            for tensor, array in tensors.items():
                if tensor.startswith(prefix) and ("outstanding/" in tensor) == bool(prefix):
                    rows = array[max(here[0] - begin, 0) : max(here[1] - begin, 0)]
                    pieces.setdefault(tensor, []).append(rows)
        return {tensor: np.concatenate(arrays) for tensor, arrays in pieces.items()}
