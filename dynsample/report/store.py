"""Files of a report: its log and arrays, in a folder that may hold others of the user's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.disk.files import open_regular, whole

FILE = "epochs.jsonl"
_BEGINS = b'{"version":1,"epoch":'
_MARK = b"\n# of a report of dynsample\n"  # behind an array, where readers of .npy do not look
_TAIL = 1 << 16


class ReportError(RuntimeError):
    """A folder that is no report, or a damaged or newer one.

    Examples
    --------
    >>> ds.report.read("nowhere")
    Traceback (most recent call last):
        ...
    dynsample.report.store.ReportError: nowhere holds no report: there is no epochs.jsonl; S...
    """


def check_log(path: Path) -> None:
    """Raise unless a log of this name would be ours to append to."""
    try:
        with open_regular(path) as file:
            line = file.readline(_TAIL)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        return  # which is said when it is written to
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror}") from error
    whole_line = line.startswith(b'{"version":') and b'"epoch":' in line
    if line and not (whole_line or _BEGINS.startswith(line)):
        raise ReportError(
            f"{path} is there and is no log of a report: name another folder for the report"
        )


def read_array(path: Path) -> NDArray[Any]:
    """Read an array; its size is compared with that of the file first.

    Raises
    ------
    ReportError
    """
    try:
        with open_regular(path):
            pass
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # of numpy's parser there is no list
        raise ReportError(f"{path} is damaged, or no array: {error}") from error


def is_ours(path: Path) -> bool:
    """Whether there is no array of this name, or one that a report wrote."""
    if not os.path.lexists(path):
        return True
    try:
        with open_regular(path) as file:
            file.seek(-min(len(_MARK), os.fstat(file.fileno()).st_size), os.SEEK_END)
            return file.read() == _MARK
    except OSError:
        return False


def _holds(path: Path, array: NDArray[Any]) -> bool:
    try:
        return np.array_equal(read_array(path), array)
    except ReportError:
        return False


def may_write(path: Path, array: NDArray[Any]) -> bool:
    """Whether `write_array` leaves such a file, and nothing of the user's is lost."""
    return is_ours(path) or _holds(path, array)


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array, whole or not at all.

    Raises
    ------
    FileExistsError
        When a file of this name is the user's own.
    """
    if not is_ours(path):
        if _holds(path, array):
            return
        raise FileExistsError(f"{path} is there and was not written by a report: it is left alone")
    with whole(path) as file:
        np.save(file, array)
        file.write(_MARK)


def append_line(path: Path, line: str) -> None:
    """Append a line by one write, in the place of one that a kill left torn."""
    with open(path, "ab+") as file:
        end = file.seek(0, os.SEEK_END)
        kept = end
        while kept:
            begin = max(kept - _TAIL, 0)
            file.seek(begin)
            found = file.read(kept - begin).rfind(b"\n")
            if found >= 0:
                kept = begin + found + 1
                break
            kept = begin
        if kept < end:
            file.truncate(kept)
        file.write(line.encode() + b"\n")
