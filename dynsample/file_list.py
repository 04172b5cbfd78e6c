"""Lists of files with labels, read in one way by readers, packs and coresets."""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass

import numpy as np

from dynsample._disk import open_regular

# As DALI's own reader takes a line apart, from its end: white space is that of C, and part of a
# name unless it is before the label or at the end. DALI has no labels below 0.
_LINE = re.compile(rb"([^\0]*[^\s\0])\s+(-?[0-9]+)\s*")
_LABELS = np.iinfo(np.int32)
_DIGITS = 20  # of a label, zeros before it included
_SHOWN = 200  # bytes of a wrong line in the message


@dataclass(frozen=True, eq=False)
class FileList:
    """A file list. The id of a sample is its position among the lines that are not blank.

    Attributes
    ----------
    names : list of bytes
        As they are written, whatever they hold but NUL and a line feed.
    labels : list of int
    lines : list of bytes
        Whole, each with its end; a byte order mark is not part of the first.
    """

    names: list[bytes]
    labels: list[int]
    lines: list[bytes]

    def __len__(self) -> int:
        return len(self.names)


def read(path: str | os.PathLike[str], *, may_be_empty: bool = False) -> FileList:
    """Read a file list: a name, white space and a label on every line.

    Lines end with a line feed and with nothing else, so that a carriage return can be part of a
    name; before the line feed it is white space. Blank lines count for nothing.

    Raises
    ------
    ValueError
        With the number of the line that is wrong, and for a list of no files.
    """
    found = FileList([], [], [])
    with open_regular(path) as lines:
        for number, line in enumerate(lines, 1):
            text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if not text.strip():
                continue
            match = _LINE.fullmatch(text)
            label = _label(match[2]) if match else None
            if match is None or label is None:
                shown = text.strip()[:_SHOWN].decode(errors="replace")
                raise ValueError(
                    f"{path}, line {number}: expected a path, a space and an integer label, "
                    f"got {shown!r}"
                )
            found.names.append(match[1])
            found.labels.append(label)
            found.lines.append(text)
    if not found.names and not may_be_empty:
        raise ValueError(f"file_list must name at least one file, {path} is empty")
    return found


def _label(digits: bytes) -> int | None:
    label = int(digits[:_DIGITS])  # more would be slow to read
    return label if len(digits) <= _DIGITS and _LABELS.min <= label <= _LABELS.max else None
