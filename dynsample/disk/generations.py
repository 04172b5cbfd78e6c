"""Folders of a saved state, one for each generation: which are ours, read, and to be removed.

A generation that we make holds a file of a fixed content. It shows whose the folder is, and readers
lock it, so that a save does not remove what somebody still reads.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable
from pathlib import Path

from dynsample.disk.fields import Mismatch
from dynsample.disk.files import is_at, open_regular, try_lock
from dynsample.disk.state_files import INDEX

MARK = "written-by-dynsample"
SUFFIX = ".safetensors"
_NAME = re.compile(r"generation-(\d{8,})")


def folder_of(path: Path, generation: int) -> Path:
    """Where a generation is."""
    return path / f"generation-{generation:08d}"


def make(path: Path, after: int) -> int:
    """Make the folder of the next generation that nobody has made yet, and give its number."""
    generation = after + 1
    while True:
        folder = folder_of(path, generation)
        try:
            folder.mkdir()
        except FileExistsError:  # somebody's own, or one that another save is writing
            generation += 1
            continue
        (folder / MARK).write_bytes(mark(generation))
        return generation


def mark(generation: int) -> bytes:
    """Content of the file that shows whose a generation is."""
    return b"dynsample wrote generation %d, and removes it when a later one is whole\n" % generation


def remove_all_but(path: Path, kept: int) -> None:
    """Remove the generations of ours, whole or torn, that nobody reads; while nobody else saves."""
    for folder in path.glob("generation-*"):
        match = _NAME.fullmatch(folder.name)
        if match and int(match[1]) != kept:
            remove(folder, int(match[1]))


def remove(folder: Path, generation: int, files: Iterable[str] = ()) -> None:
    """Remove a generation if it has our mark and is not read; else only the named files in it.

    A folder that then holds anything else stays, and so does one whose removal fails: the next
    save tries again.
    """
    with contextlib.suppress(OSError):
        if folder.is_symlink():
            return
        with contextlib.ExitStack() as held:
            try:
                file = held.enter_context(open_regular(folder / MARK, os.O_NOFOLLOW))
            except FileNotFoundError:  # of a version that left no mark
                names = [folder / f"{name}{SUFFIX}" for name in files]
            else:
                if file.read() != mark(generation) or try_lock(file.fileno()) is False:
                    return
                names = [*folder.glob(f"*{SUFFIX}"), folder / INDEX, folder / MARK]
            for name in names:
                name.unlink(missing_ok=True)
            folder.rmdir()


def hold(folder: Path, generation: int) -> int | None:
    """Keep a generation from being removed: until the descriptor that this gives is closed.

    None: it has no mark, or is being removed just now.

    Raises
    ------
    Mismatch
        When its mark is not as it was written.
    """
    path = folder / MARK
    with contextlib.suppress(FileNotFoundError), open_regular(path) as file:
        if try_lock(file.fileno(), fcntl.LOCK_SH) is False or not is_at(file.fileno(), path):
            return None
        if file.read() != mark(generation):
            raise Mismatch(f"{MARK} is not as it was written")
        return os.dup(file.fileno())
    return None
