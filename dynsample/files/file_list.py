"""Lists of files with labels, read in one way by readers, packs and coresets."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.disk.files import read_regular

_SHOWN = 200  # bytes of a wrong line in the message


@dataclass(frozen=True, eq=False)
class FileList:
    """A file list. The id of a sample is its position among the lines that are not blank.

    Attributes
    ----------
    text : bytes
        All of the file.
    begins, ends : int64[N]
        Of each name in the text, where it is as it was written, whatever it holds but NUL and a
        line feed. A line begins with its name.
    labels : int32[N]
    """

    text: bytes
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, i: int) -> bytes:
        """Name of sample `i`."""
        return self.text[self.begins[i] : self.ends[i]]

    @property
    def names(self) -> list[bytes]:
        """Names of all samples."""
        places = zip(self.begins.tolist(), self.ends.tolist(), strict=True)
        return [self.text[begin:end] for begin, end in places]

    @cached_property
    def lines(self) -> list[bytes]:
        """Whole lines, each with its end; a byte order mark is not part of the first."""
        places = zip(self.begins.tolist(), self.ends.tolist(), strict=True)
        return [_line(self.text, begin, end) for begin, end in places]


def _line(text: bytes, begin: int, behind: int) -> bytes:
    """Return the line from `begin` on, which goes beyond `behind`."""
    feed = text.find(b"\n", behind)
    return text[begin : len(text) if feed < 0 else feed + 1]


def read(path: str | os.PathLike[str], *, may_be_empty: bool = False) -> FileList:
    """Read a file list: a name, white space and a label on every line.

    Lines end with a line feed and with nothing else, so that a carriage return can be part of a
    name; before the line feed it is white space. Blank lines count for nothing. A line is taken
    apart from its end, as DALI's own reader does: white space is that of C, and part of a name
    unless it is before the label or at the end. DALI has no labels below 0.

    Raises
    ------
    ValueError
        With the number of the line that is wrong, and for a list of no files.
    """
    text = read_regular(path)
    room = text.count(b"\n") + 1
    begins, ends = np.empty(room, np.int64), np.empty(room, np.int64)
    labels = np.empty(room, np.int32)
    mark = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
    count, stop = _core.parse_file_list(text, mark, begins, ends, labels)
    if stop < len(text):
        number = text.count(b"\n", 0, stop) + 1
        shown = _line(text, stop, stop).strip()[:_SHOWN].decode(errors="replace")
        raise ValueError(
            f"{path}, line {number}: expected a path, a space and an integer label, got {shown!r}"
        )
    if not count and not may_be_empty:
        raise ValueError(f"file_list must name at least one file, {path} is empty")
    return FileList(text, begins[:count], ends[:count], labels[:count])
