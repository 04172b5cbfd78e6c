"""The file of one epoch: a safetensors file of columns, mapped into memory.

Its metadata holds the facts of the store, the checksum of every column, and that of the header
itself, taken while its own place is blank. An epoch needs no other file, so that several processes
can write epochs of one store.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample._disk import sync_folder
from dynsample.payload.facts import Facts

FORMAT, VERSION = "dynsample payload", 1
_NAMES = {"bool": "BOOL", "uint8": "U8", "uint16": "U16", "uint32": "U32", "int32": "I32",
          "int64": "I64", "float16": "F16", "float32": "F32", "float64": "F64"}  # fmt: skip
_BLANK = "-" * 8
_ALIGNMENT = 64
_CHECKED_AT_ONCE = 1 << 24  # bytes
Arrays = dict[str, NDArray[Any]]


class PayloadError(ValueError):
    """A store of payloads that cannot be used: damaged, missing, or of something else."""


def name_of(epoch: int) -> str:
    """File of an epoch."""
    return f"epoch-{epoch:05d}.safetensors"


def _layout(facts: Facts) -> tuple[dict[str, Any], int]:
    """Entries of the header, and the length of what follows it."""
    entries, at = {}, 0
    for name, (dtype, shape) in facts.columns().items():
        whole = [facts.num_samples, *shape]
        stop = at + int(np.prod(whole)) * np.dtype(dtype).itemsize
        entries[name] = {"dtype": _NAMES[dtype], "shape": whole, "data_offsets": [at, stop]}
        at = stop
    return entries, at


def _header(facts: Facts, epoch: int, sums: dict[str, str], own: str) -> bytes:
    entries, _ = _layout(facts)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "epoch": str(epoch),
        "facts": json.dumps(facts.to_json()),
        "crc32": json.dumps({name: sums.get(name, _BLANK) for name in entries}),
        "header_crc32": own,
    }
    text = json.dumps({"__metadata__": metadata, **entries}).encode()
    return text + b" " * (-(len(text) + 8) % _ALIGNMENT)


def _signed_header(facts: Facts, epoch: int, sums: dict[str, str]) -> bytes:
    return _header(facts, epoch, sums, _crc(_header(facts, epoch, sums, _BLANK)))


def _crc(content: Any) -> str:
    return f"{zlib.crc32(content):08x}"


def checksum(
    column: NDArray[Any], before: Callable[[list[NDArray[Any]]], None] = lambda pieces: None
) -> str:
    """Checksum of a column, as the header has it; `before` gets each piece ahead of its turn."""
    content = column.reshape(-1).view(np.uint8)
    pieces = [
        content[at : at + _CHECKED_AT_ONCE] for at in range(0, len(content), _CHECKED_AT_ONCE)
    ]
    crc = 0
    for number, piece in enumerate(pieces):
        before(pieces[number + 1 : number + 2])
        crc = zlib.crc32(piece.data, crc)
    return f"{crc:08x}"


def _columns(facts: Facts, mapped: mmap.mmap, begin: int) -> Arrays:
    arrays = {}
    for name, entry in _layout(facts)[0].items():
        dtype = facts.columns()[name][0]
        start, stop = entry["data_offsets"]
        count = (stop - start) // np.dtype(dtype).itemsize
        flat = np.frombuffer(mapped, dtype, count, begin + start) if count else np.empty(0, dtype)
        arrays[name] = flat.reshape(entry["shape"])
    return arrays


@contextlib.contextmanager
def written(path: Path, facts: Facts, epoch: int) -> Iterator[Arrays]:
    """Give the columns of a new file to fill; it is whole when the block ends, else absent."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    header = _signed_header(facts, epoch, {})
    length = 8 + len(header) + _layout(facts)[1]
    try:
        with partial.open("w+b") as file:
            os.posix_fallocate(file.fileno(), 0, length)  # a full disk is an error now, not a crash
            mapped = mmap.mmap(file.fileno(), length)
            columns = _columns(facts, mapped, 8 + len(header))
            yield columns
            sums = {name: checksum(column) for name, column in columns.items()}
            header = _signed_header(facts, epoch, sums)
            mapped[: 8 + len(header)] = len(header).to_bytes(8, "little") + header
            mapped.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def read_header(path: Path, epoch: int) -> tuple[Facts, dict[str, str], int]:
    """Facts, checksums of the columns, and where these begin; header and length are checked."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        found = os.fstat(file.fileno()).st_size
        header = file.read(size) if size <= found else b""
    try:
        metadata = json.loads(header)["__metadata__"]
        if metadata["format"] != FORMAT:
            raise KeyError
        version = int(metadata["version"])
    except (ValueError, KeyError, TypeError):
        raise PayloadError(f"{path} is damaged, or not a payload that dynsample wrote") from None
    if version != VERSION:
        raise PayloadError(f"{path} has format version {version}, this dynsample reads {VERSION}")
    own = f'"header_crc32": "{metadata["header_crc32"]}"'.encode()
    blank = f'"header_crc32": "{_BLANK}"'.encode()
    if _crc(header.replace(own, blank)) != metadata["header_crc32"]:
        raise PayloadError(f"{path} is damaged: its header does not have its checksum")
    if int(metadata["epoch"]) != epoch:
        raise PayloadError(f"{path} holds epoch {metadata['epoch']}: it was renamed")
    facts = Facts.from_json(json.loads(metadata["facts"]))
    whole = 8 + size + _layout(facts)[1]
    if found != whole:
        raise PayloadError(f"{path} was truncated: it has {found} bytes of {whole}")
    return facts, json.loads(metadata["crc32"]), 8 + size


def open_columns(path: Path, epoch: int) -> tuple[Facts, Arrays, dict[str, str]]:
    """Map a file: its facts, its columns, and their checksums."""
    facts, sums, begin = read_header(path, epoch)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):  # a fault then reads its page, not the 128 KiB around it
        mapped.madvise(mmap.MADV_RANDOM)
    return facts, _columns(facts, mapped, begin), sums
