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
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from dynsample.disk import tensors as _tensors
from dynsample.disk.fields import Check, Mismatch, anything, mapping, one_of, parse, record, text
from dynsample.disk.files import open_regular, whole
from dynsample.payload.facts import Facts

FORMAT, VERSION = "dynsample payload", 1
_NAME = re.compile(r"epoch-(\d{5})\.safetensors", re.ASCII)


class _Version(TypedDict):
    version: str


class _Metadata(_Version):
    epoch: str
    facts: str
    crc32: str
    header_crc32: str


_VERSION: Check[_Version] = record({"format": one_of(FORMAT), "version": text})
_METADATA: Check[_Metadata] = record(
    {"format": one_of(FORMAT), "version": text, "epoch": text, "facts": text, "crc32": text,
     "header_crc32": text}
)  # fmt: skip
_BLANK = "-" * 8
_ALIGNMENT = 64
_CHECKED_AT_ONCE = 1 << 24  # bytes
Arrays = dict[str, NDArray[Any]]


class PayloadError(ValueError):
    """A store of payloads that cannot be used: damaged, missing, or of something else.

    Examples
    --------
    >>> ds.payload.Store("nowhere")
    Traceback (most recent call last):
        ...
    dynsample.payload.epoch_file.PayloadError: nowhere holds no payload: no file epoch-00000...
    """


def name_of(epoch: int) -> str:
    """File of an epoch."""
    return f"epoch-{epoch:05d}.safetensors"


def epochs_in(folder: Path) -> list[Path]:
    """Files of epochs, by name; others may lie beside them."""
    return sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))


def epoch_of(file: Path) -> int:
    """Epoch that the name of such a file says."""
    return int(file.name[len("epoch-") :].partition(".")[0])


def _layout(facts: Facts) -> tuple[dict[str, _tensors.Entry], int]:
    """Entries of the header, and the length of what follows it."""
    columns = facts.columns().items()
    return _tensors.entries(
        {name: (dtype, (facts.num_samples, *shape)) for name, (dtype, shape) in columns}
    )


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


def _crc(content: bytes) -> str:
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
    """Yield the columns of a new file to fill; it is whole when the block ends, else absent.

    Raises
    ------
    PayloadError
        When a file of this name is there and is no epoch of ours.
    """
    if os.path.lexists(path):
        try:
            read_header(path, epoch)
        except PayloadError as error:
            raise PayloadError(f"{error}; it is not written over: remove it first") from None
    header = _signed_header(facts, epoch, {})
    length = 8 + len(header) + _layout(facts)[1]
    with whole(path) as file:
        os.posix_fallocate(file.fileno(), 0, length)  # a full disk is an error now, not a crash
        mapped = mmap.mmap(file.fileno(), length)
        columns = _columns(facts, mapped, 8 + len(header))
        yield columns
        sums = {name: checksum(column) for name, column in columns.items()}
        header = _signed_header(facts, epoch, sums)
        mapped[: 8 + len(header)] = len(header).to_bytes(8, "little") + header
        mapped.flush()


class Header(NamedTuple):
    """What the header of a file says, and where its columns begin."""

    facts: Facts
    sums: dict[str, str]
    begin: int


def read_header(path: Path, epoch: int) -> Header:
    """Read and check the header of a file, and its length."""
    try:
        with open_regular(path) as file:
            return _read_header(file, path, epoch)
    except Mismatch as error:
        raise PayloadError(
            f"{path} is damaged, or not a payload that dynsample wrote: {error}"
        ) from None
    except OSError as error:
        raise PayloadError(f"{path} cannot be read: {error.strerror}") from error


def _read_header(file: BinaryIO, path: Path, epoch: int) -> Header:
    content, length = _tensors.read_header(file)
    header = parse(content, mapping(anything), "the header")
    found = header.pop("__metadata__", None)
    version = _VERSION(found, "__metadata__")["version"]
    if version != str(VERSION):
        raise PayloadError(
            f"{path} has format version {version[:20]}, this dynsample reads {VERSION}"
        )
    metadata = _METADATA(found, "__metadata__")
    own = f'"header_crc32": "{metadata["header_crc32"]}"'.encode(errors="replace")
    blank = f'"header_crc32": "{_BLANK}"'.encode()
    if _crc(content.replace(own, blank)) != metadata["header_crc32"]:
        raise Mismatch("its header does not have its checksum")
    if metadata["epoch"] != str(epoch):
        raise PayloadError(f"{path} holds epoch {metadata['epoch'][:20]}: it was renamed")
    facts = _facts(metadata["facts"])
    entries, expected = _layout(facts)
    if length != expected:
        begin = 8 + len(content)
        raise PayloadError(
            f"{path} was truncated: it has {begin + length} bytes of {begin + expected}"
        )
    if header != entries:
        raise Mismatch("the columns are not those of its facts")
    sums = parse(metadata["crc32"].encode(errors="replace"), mapping(text), "crc32")
    if sums.keys() != entries.keys():
        raise Mismatch(f"crc32 must name the columns {', '.join(entries)}")
    return Header(facts, sums, 8 + len(content))


def _facts(content: str) -> Facts:
    fields = parse(content.encode(errors="replace"), mapping(anything), "facts")
    try:
        return Facts.from_json(fields)
    except (KeyError, TypeError, ValueError) as error:  # those of its own checks
        raise Mismatch(f"facts: {error}") from None


class Opened(NamedTuple):
    """A file that is mapped: what it is of, its columns, their checksums, and its bytes now."""

    facts: Facts
    columns: Arrays
    sums: dict[str, str]
    length: int
    size: Callable[[], int]

    def check_length(self, path: Path) -> None:
        """Raise when the file was cut since: to touch what is gone kills the process."""
        if (found := self.size()) < self.length:
            raise PayloadError(
                f"{path} was cut to {found} bytes of {self.length} since it was opened"
            )


def open_columns(path: Path, epoch: int) -> Opened:
    """Map a file."""
    facts, sums, begin = read_header(path, epoch)
    with open_regular(path) as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_RANDOM"):  # a fault then reads its page, not the 128 KiB around it
        mapped.madvise(mmap.MADV_RANDOM)
    length = begin + _layout(facts)[1]
    if len(mapped) != length:
        raise PayloadError(f"{path} was replaced while it was opened")
    return Opened(facts, _columns(facts, mapped, begin), sums, length, mapped.size)
