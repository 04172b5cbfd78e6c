"""A pack: one file of encoded images with their offsets, labels, paths and checksums."""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsample.files import Packed, Samples

# magic, version, samples, bytes of images, bytes of paths, checksum of the index, and of all this.
# The images follow the header, back to back; then the index: offsets, labels, checksums, paths.
HEADER = struct.Struct("<8sIxxxxQQQII")
MAGIC, VERSION = b"DYNPACK\0", 1
_CHECKED_AT_ONCE = 1 << 26  # bytes


class PackError(RuntimeError):
    """A file is not a pack, or not as it was written."""


@dataclass(frozen=True)
class _Index:
    starts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int32]
    checksums: NDArray[np.uint32]
    paths: NDArray[np.uint8]

    def parts(self) -> list[bytes]:
        arrays = (self.starts, self.offsets, self.labels, self.checksums, self.paths)
        return [array.tobytes() for array in arrays]

    @staticmethod
    def size(samples: int, path_bytes: int) -> int:
        return 16 * (samples + 1) + 8 * samples + path_bytes


def write(
    samples: Samples,
    out: str | os.PathLike[str],
    *,
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Write the encoded images of `samples` into one file, whole or not at all.

    Parameters
    ----------
    samples : Samples
    out : path
    progress : callable
        Called after every image.
    """
    out = Path(out)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    sizes = np.zeros(len(samples), np.int64)
    checksums = np.zeros(len(samples), np.uint32)
    try:
        with open(partial, "wb") as file:
            file.write(bytes(HEADER.size))
            for i in range(len(samples)):
                content = samples.read(i)
                sizes[i], checksums[i] = len(content), zlib.crc32(content.data)
                file.write(content.data)
                progress()
            offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            index = _Index(samples.starts, offsets, samples.labels, checksums, samples.paths)
            check = 0
            for part in index.parts():
                check = zlib.crc32(part, check)
                file.write(part)
            file.seek(0)
            file.write(_header(len(samples), int(offsets[-1]), len(samples.paths), check))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)


def _header(samples: int, image_bytes: int, path_bytes: int, index_check: int) -> bytes:
    fields = (MAGIC, VERSION, samples, image_bytes, path_bytes, index_check)
    return HEADER.pack(*fields, zlib.crc32(HEADER.pack(*fields, 0)))


def open_pack(path: str | os.PathLike[str], *, verify: bool = True) -> Samples:
    """Map a pack into memory.

    Parameters
    ----------
    path : path
    verify : bool
        Compare every image with its checksum, which reads the whole file once. Size, header and
        index are checked in any case.

    Raises
    ------
    PackError
        When the file is no pack, was truncated or altered.
    """
    mapped = np.memmap(path, np.uint8, "r") if os.path.getsize(path) else np.empty(0, np.uint8)
    index = _checked_index(path, mapped)
    packed = mapped[HEADER.size : HEADER.size + index.offsets[-1]]
    if verify:
        _check_images(path, packed, index)
    pack = Packed(os.path.abspath(path), HEADER.size, packed, index.offsets)
    return Samples(index.paths, index.starts, index.labels, pack)


def _checked_index(path: str | os.PathLike[str], mapped: NDArray[np.uint8]) -> _Index:
    head = mapped[: HEADER.size].tobytes()
    if len(head) < HEADER.size or not head.startswith(MAGIC):
        raise PackError(f"{path} is not a pack of dynsample")
    _, version, samples, image_bytes, path_bytes, index_check, _ = HEADER.unpack(head)
    if version != VERSION:
        raise PackError(f"{path} is a pack of version {version}, this dynsample reads {VERSION}")
    if head != _header(samples, image_bytes, path_bytes, index_check):
        raise PackError(f"{path} was altered: its header does not have its checksum")
    expected = HEADER.size + image_bytes + _Index.size(samples, path_bytes)
    if len(mapped) != expected:
        raise PackError(f"{path} was truncated: it has {len(mapped)} bytes of {expected}")
    rest = mapped[HEADER.size + image_bytes :].tobytes()
    if zlib.crc32(rest) != index_check:
        raise PackError(f"{path} was altered: its index does not have its checksum")
    arrays, at = [], 0
    for kind, count in (
        ("<i8", samples + 1),
        ("<i8", samples + 1),
        ("<i4", samples),
        ("<u4", samples),
        ("u1", path_bytes),
    ):
        arrays.append(np.frombuffer(rest, kind, count, at))
        at += arrays[-1].nbytes
    return _Index(*arrays)


def _check_images(path: str | os.PathLike[str], packed: NDArray[np.uint8], index: _Index) -> None:
    def altered(rows: range) -> int | None:
        for i in rows:
            image = packed[index.offsets[i] : index.offsets[i + 1]]
            if zlib.crc32(image.data) != index.checksums[i]:
                return i
        return None

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # crc32 lets go of the lock
        for i in pool.map(altered, _pieces(index.offsets)):
            if i is not None:
                name = bytes(index.paths[index.starts[i] : index.starts[i + 1] - 1])
                raise PackError(
                    f"{path} was altered: sample {i}, {os.fsdecode(name)}, does not have its "
                    "checksum"
                )


def _pieces(offsets: NDArray[np.int64]) -> Iterator[range]:
    """Ranges of samples that hold about as many bytes each."""
    bounds = np.arange(0, offsets[-1] + _CHECKED_AT_ONCE, _CHECKED_AT_ONCE)
    cuts = np.unique(np.searchsorted(offsets, bounds[1:-1]))
    edges = [0, *cuts.tolist(), len(offsets) - 1]
    return itertools.starmap(range, itertools.pairwise(edges))
