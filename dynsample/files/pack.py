"""A pack: one file of encoded images with their offsets, labels, paths and checksums."""

from __future__ import annotations

import itertools
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dynsample.disk.fields import Mismatch
from dynsample.disk.files import open_regular, whole
from dynsample.files import Packed, SampleError, Samples

# magic, version, samples, bytes of images, bytes of paths, checksum of the index, and of all this.
# The images follow the header, back to back; then the index: offsets, labels, checksums, paths.
HEADER = struct.Struct("<8sIxxxxQQQII")
MAGIC, VERSION = b"DYNPACK\0", 1
_CHECKED_AT_ONCE = 1 << 26  # bytes
_PATH_BYTES = 4096  # of Linux, with the NUL at the end


class PackError(RuntimeError):
    """A file is not a pack, or not as it was written.

    Examples
    --------
    >>> open("train.pack", "w").close()
    >>> open_pack("train.pack")
    Traceback (most recent call last):
        ...
    dynsample.files.pack.PackError: train.pack is not a pack of dynsample
    """


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
    force: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Write the encoded images of `samples` into one file, whole or not at all.

    Parameters
    ----------
    samples : Samples
    out : path
        Of a new file, or of a pack that it takes the place of.
    force : bool
        Take the place of any other file too.
    progress : callable
        Called after every image.

    Raises
    ------
    SampleError
        When images cannot be read; all of them are named.
    FileExistsError
        When `out` is there and is no pack.
    """
    out = Path(out)
    if os.path.lexists(out) and not force and not _begins_as_pack(out):
        raise FileExistsError(f"{out} is there and is no pack: another name is needed")
    with whole(out) as file:
        _write(samples, file, progress)


def _begins_as_pack(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _write(samples: Samples, file: BinaryIO, progress: Callable[[], None]) -> None:
    sizes = np.zeros(len(samples), np.int64)
    checksums = np.zeros(len(samples), np.uint32)
    unreadable = []
    file.write(bytes(HEADER.size))
    for i in range(len(samples)):
        try:
            content = samples.read(i)
        except SampleError as error:
            unreadable.append(str(error))
        if not unreadable:
            sizes[i], checksums[i] = len(content), zlib.crc32(content.data)
            file.write(content.data)
        progress()
    if unreadable:
        many = f"{len(unreadable)} of {len(samples)} samples cannot be packed:\n  "
        raise SampleError((many if len(unreadable) > 1 else "") + "\n  ".join(unreadable))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    index = _Index(samples.starts, offsets, samples.labels, checksums, samples.paths)
    check = 0
    for part in index.parts():
        check = zlib.crc32(part, check)
        file.write(part)
    file.seek(0)
    file.write(_header(len(samples), int(offsets[-1]), len(samples.paths), check))


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
    try:
        with open_regular(path) as file:
            index, image_bytes = _read_index(file, os.fstat(file.fileno()).st_size)
            length = HEADER.size + image_bytes
            mapped = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ)
    except Mismatch as error:
        raise PackError(f"{path} {error}") from None
    images = np.frombuffer(mapped, np.uint8, image_bytes, HEADER.size)
    if verify:
        _check_images(path, images, index)
    pack = Packed(os.path.abspath(path), HEADER.size, images, index.offsets, mapped.size)
    return Samples(index.paths, index.starts, index.labels, pack)


def _read_index(file: BinaryIO, found: int) -> tuple[_Index, int]:
    head = file.read(HEADER.size)
    if len(head) < HEADER.size or not head.startswith(MAGIC):
        raise Mismatch("is not a pack of dynsample")
    _, version, samples, image_bytes, path_bytes, index_check, _ = HEADER.unpack(head)
    if version != VERSION:
        raise Mismatch(f"is a pack of version {version}, this dynsample reads {VERSION}")
    if head != _header(samples, image_bytes, path_bytes, index_check):
        raise Mismatch("was altered: its header does not have its checksum")
    size = _Index.size(samples, path_bytes)
    if found != HEADER.size + image_bytes + size:
        expected = HEADER.size + image_bytes + size
        raise Mismatch(f"was truncated: it has {found} bytes of {expected}")
    if path_bytes > _PATH_BYTES * samples:
        raise Mismatch(f"was altered: {samples} paths do not have {path_bytes} bytes")
    file.seek(HEADER.size + image_bytes)
    try:
        rest = file.read(size)
    except MemoryError:
        raise Mismatch(f"has an index of {size} bytes, more than there is memory for") from None
    if len(rest) != size or zlib.crc32(rest) != index_check:
        raise Mismatch("was altered: its index does not have its checksum")
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
    index = _Index(*arrays)
    _check_bounds("starts", index.starts, path_bytes)
    _check_bounds("offsets", index.offsets, image_bytes)
    if (index.paths[index.starts[1:] - 1] != 0).any() or np.count_nonzero(
        index.paths == 0
    ) > samples:
        raise Mismatch("was altered: paths must end in a NUL byte, and hold no other")
    return index, image_bytes


def _check_bounds(name: str, bounds: NDArray[np.int64], length: int) -> None:
    """Raise unless these ascend from 0 to the length: each sample has some bytes of them."""
    if bounds[0] != 0 or bounds[-1] != length:
        raise Mismatch(
            f"was altered: {name} must go from 0 to {length}, got {bounds[0]} to {bounds[-1]}"
        )
    wrong = np.flatnonzero(bounds[1:] <= bounds[:-1])
    if len(wrong):
        i = int(wrong[0])
        raise Mismatch(
            f"was altered: {name} must ascend, got {bounds[i]} and {bounds[i + 1]} of sample {i}"
        )


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
