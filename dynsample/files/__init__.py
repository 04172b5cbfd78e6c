"""Image files with labels: a tree of class folders, or a list of files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.disk.files import open_regular
from dynsample.files.file_list import read as read_list
from dynsample.payload.facts import fingerprint

# The suffixes that DALI's own file reader takes, without regard to case.
SUFFIXES = (
    b".jpg", b".jpeg", b".png", b".bmp", b".tif", b".tiff", b".pnm", b".ppm", b".pgm", b".pbm",
    b".jp2", b".webp", b".flac", b".ogg", b".wav",
)  # fmt: skip
_NAMES_AT_ONCE = 1 << 16


class SampleError(RuntimeError):
    """A sample cannot be read; the message names its file."""


@dataclass(frozen=True, eq=False)
class Packed:
    """Where the images of a pack are.

    Attributes
    ----------
    path : str
    begin : int
        Of the first image in the file, in bytes.
    images : uint8[...]
        The mapped images, back to back.
    offsets : int64[N + 1]
        Of each image in `images`, and the end of the last.
    size : callable
        Gives the bytes that the file has now: to read what was cut off since kills the process.
    """

    path: str
    begin: int
    images: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    size: Callable[[], int]


@dataclass(frozen=True, eq=False)
class Samples:
    """Encoded images with labels. The id of a sample is its position.

    Attributes
    ----------
    paths : uint8[...]
        Where each sample is, or came from: NUL-terminated, one after the other.
    starts : int64[N + 1]
        Of each path, and the end of the last.
    labels : int32[N]
    pack : Packed or None
        None when every path is a file.
    """

    paths: NDArray[np.uint8]
    starts: NDArray[np.int64]
    labels: NDArray[np.int32]
    pack: Packed | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the labels and of the names below what all paths have in common."""
        return fingerprint(self.labels, self._names())

    def _names(self) -> Iterator[bytes]:
        """Yield these names, many at once, with NUL bytes between them."""
        if not len(self):
            return
        ends = [self._bytes(i) for i in _core.name_range(self.paths, self.starts)]
        common = os.path.commonpath([os.path.dirname(path) for path in ends])
        skip = len(os.path.join(common, b""))
        for first in range(0, len(self), _NAMES_AT_ONCE):
            bounds = self.starts[first : first + _NAMES_AT_ONCE + 1]
            begins, stops = bounds[:-1], bounds[1:] - 1
            joined, _ = _core.join_names(b"", self.paths, np.minimum(begins + skip, stops), stops)
            yield joined[:-1].tobytes()

    def _bytes(self, i: int) -> bytes:
        return self.paths[self.starts[i] : self.starts[i + 1] - 1].tobytes()

    def path(self, i: int) -> str:
        """File that sample `i` is read from, or was packed from."""
        return os.fsdecode(self._bytes(i))

    def read(self, i: int) -> NDArray[np.uint8]:
        """Return the encoded bytes of sample `i`; a file that is gone or cut short is an error."""
        if self.pack is not None:
            start, stop = self.pack.offsets[i], self.pack.offsets[i + 1]
            if (size := self.pack.size()) < self.pack.begin + stop:
                raise SampleError(
                    f"sample {i}, {self.path(i)}: {self.pack.path} was cut to {size} bytes since "
                    "it was opened"
                )
            return self.pack.images[start:stop]
        try:
            with open_regular(self.path(i)) as file:
                content = np.fromfile(file, np.uint8)
        except OSError as error:
            raise SampleError(f"sample {i}, {self.path(i)}: {error.strerror}") from error
        if not len(content):
            raise SampleError(f"sample {i}, {self.path(i)}: the file is empty")
        if _core.is_cut_short(content):
            raise SampleError(f"sample {i}, {self.path(i)}: a JPEG that ends too soon")
        return content


def from_names(
    root: str | os.PathLike[str], names: Iterable[bytes], labels: Sequence[int]
) -> Samples:
    """Make samples of the files `root` + name."""
    listed = list(names)
    sizes = np.fromiter(map(len, listed), np.int64, len(listed))
    begins = np.cumsum(sizes) - sizes
    return _below(root, b"".join(listed), begins, begins + sizes, labels)


def _below(
    root: str | os.PathLike[str],
    text: bytes,
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    labels: Sequence[int] | NDArray[np.int32],
) -> Samples:
    """Make samples of the files below `root` that are named in [begins, ends) of the text."""
    prefix = os.fsencode(os.path.abspath(root)) + b"/"
    paths, starts = _core.join_names(prefix, text, _past_slashes(text, begins, ends), ends)
    return Samples(paths, starts, np.asarray(labels, np.int32))


def _past_slashes(
    text: bytes, begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    characters, begins = np.frombuffer(text, np.uint8), begins.copy()
    rows = np.flatnonzero(begins < ends)
    while len(rows := rows[characters[begins[rows]] == ord("/")]):
        begins[rows] += 1
        rows = rows[begins[rows] < ends[rows]]
    return begins


def class_folders(root: str | os.PathLike[str]) -> list[bytes]:
    """List the folders of a tree, in the order of their labels; hidden ones are among them."""
    top = os.fsencode(root)
    if not os.path.isdir(top):
        raise NotADirectoryError(f"file_root must be a folder of class folders, got {root}")
    folders = sorted(entry.name for entry in os.scandir(top) if entry.is_dir())
    if not folders:
        raise ValueError(f"file_root must hold one folder per class, found none in {root}")
    return folders


def scan(
    root: str | os.PathLike[str], *, progress: Callable[[], None] = lambda: None
) -> tuple[list[bytes], list[int]]:
    """List the files of a tree of class folders: names below `root`, and labels.

    Folders and the files in them are sorted by their bytes, so the order is that of every locale
    and machine. A folder without images keeps its label; files beside the folders are skipped.
    `progress` is called after every folder.
    """
    top = os.fsencode(root)
    names, labels = [], []
    for label, folder in enumerate(class_folders(root)):
        inside = [
            entry.name
            for entry in os.scandir(os.path.join(top, folder))
            if entry.name.lower().endswith(SUFFIXES) and not entry.is_dir()
        ]
        names += [folder + b"/" + name for name in sorted(inside)]
        labels += [label] * len(inside)
        progress()
    if not names:
        raise ValueError(f"file_root must hold images, found none in the folders of {root}")
    return names, labels


def from_folders(root: str | os.PathLike[str]) -> Samples:
    """Make samples of a tree of class folders; see `scan`."""
    return from_names(root, *scan(root))


def parse_list(path: str | os.PathLike[str]) -> tuple[list[bytes], list[int]]:
    """Read a list of files: names and labels; see `file_list.read`."""
    found = read_list(path)
    return found.names, found.labels.tolist()


def from_list(path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> Samples:
    """Make samples of a list of files.

    Parameters
    ----------
    path : path
        See `parse_list`.
    root : path, optional
        What the paths are below, also those with a leading slash; by default the folder of the
        list. When the first path is a file as it stands, and not below `root`, all are absolute.
    """
    listed = read_list(path)
    name = listed.name(0)
    base = os.path.dirname(os.path.abspath(path)) if root is None else os.path.abspath(root)
    first, absolute = name.lstrip(b"/"), name.startswith(b"/")
    if not os.path.exists(os.path.join(os.fsencode(base), first)):
        if not (absolute and os.path.exists(name)):
            also = f", nor {os.fsdecode(name)}" if absolute else ""
            raise FileNotFoundError(
                f"{path} names {os.fsdecode(first)} first, and there is no such file below "
                f"{base}{also}; file_root says where the files are"
            )
        base = "/"
    return _below(base, listed.text, listed.begins, listed.ends, listed.labels)


def open_samples(
    file_root: str | os.PathLike[str] | None, file_list: str | os.PathLike[str] | None
) -> Samples:
    """Make samples of a list of files if there is one, else of a tree of class folders."""
    if file_list is not None:
        return from_list(file_list, file_root)
    if file_root is None:
        raise TypeError("file_root or file_list is needed: where the images are")
    return from_folders(file_root)
