"""Saved state: safetensors files in a directory, whole or absent.

A save writes a new generation of files beside the old one and then renames the index over the old
index; whoever is killed in between leaves the previous generation as it was. One saver at a time
has the lock of the directory. Everything is checked on reading, see `_state_files`.
"""

from __future__ import annotations

import contextlib
import json
import os
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsample.disk import generations as _generations
from dynsample.disk.fields import Mismatch
from dynsample.disk.files import sync_folder
from dynsample.disk.generations import SUFFIX, folder_of
from dynsample.disk.locks import LockError, locked
from dynsample.disk.state_files import (
    INDEX,
    Body,
    StateError,
    Tensors,
    read_index,
    read_tensors,
    write_index,
    write_tensors,
)

if TYPE_CHECKING:
    from dynsample.groups import Group

LOCK = ".dynsample.lock"
LOCK_SECONDS = 120.0
__all__ = ["LockError", "Saved", "StateError", "Tensors", "read_index", "read_tensors", "save"]


def save(
    path: Path,
    files: Mapping[str, Mapping[str, NDArray[Any]]],
    facts: Mapping[str, object],
    part: list[int],
    group: Group,
) -> int:
    """Write a generation, every rank its files; return its number.

    On an error on any rank the previous generation stays as it was, and every rank raises.
    `part` are integers of each rank that `Saved.parts` gives back. Collective.

    Raises
    ------
    LockError
        When another process saves to `path` for longer than the time limit, or when this thread
        does so already and was interrupted by a signal handler that saves.
    """
    what = f"the save to {path}"
    with contextlib.ExitStack() as held, held:  # left twice, as in _locks
        call = (lambda: _begin(path, what, group, held)) if group.rank == 0 else (lambda: 0)
        number = group.agree(call, what)
        generation = int(group.all_gather(np.array([number]), what)[0][0])
        _write_generation(path, generation, files, facts, part, group)
        return generation


def _write_generation(
    path: Path,
    generation: int,
    files: Mapping[str, Mapping[str, NDArray[Any]]],
    facts: Mapping[str, object],
    part: list[int],
    group: Group,
) -> None:
    what, root, folder = f"the save to {path}", group.rank == 0, folder_of(path, generation)
    before = None
    try:
        headers = group.agree(lambda: _write(path, folder, files), what)
        content = json.dumps({"headers": headers, "part": part}).encode()
        gathered = group.all_gather(np.frombuffer(content, "u1"), what)
        parts = [json.loads(each.tobytes()) for each in gathered]
        body: Body = {
            "generation": generation,
            "headers": {name: crc for each in parts for name, crc in each["headers"].items()},
            "parts": [each["part"] for each in parts],
            "facts": dict(facts),
        }
        before = _present(path) if root else None
        group.agree(lambda: _commit(path, folder, body) if root else None, what)
    except BaseException:
        if root and _generation(path) != generation:
            _generations.remove(folder, generation)
        raise
    if before:
        number = before["generation"]
        _generations.remove(folder_of(path, number), number, before["headers"])


def _present(path: Path) -> Body | None:
    """Return the body of the index that counts, None when there is none."""
    return read_index(path) if os.path.lexists(path / INDEX) else None


def _generation(path: Path) -> int | None:
    present = _present(path)
    return None if present is None else present["generation"]


def _explained(path: Path, error: OSError) -> OSError:
    if isinstance(error, LockError):
        return error
    try:
        previous = _generation(path)
    except (OSError, StateError):
        previous = None
    kept = f"; generation {previous} is still there" if previous else ""
    is_file = isinstance(error, FileExistsError) and path.is_file()
    reason = "it is a file, and a state is a folder" if is_file else error.strerror
    return OSError(error.errno, f"saving to {path} failed: {reason}{kept}")


def _begin(path: Path, what: str, group: Group, held: contextlib.ExitStack) -> int:
    try:
        path.mkdir(parents=True, exist_ok=True)
        seconds = min(LOCK_SECONDS, group.time_limit / 2)  # in which the other ranks wait for this
        alone = held.enter_context(locked(path / LOCK, seconds, what))
        present = _generation(path) or 0
        if alone:
            _generations.remove_all_but(path, present)
        return _generations.make(path, present)
    except OSError as error:
        raise _explained(path, error) from error


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


def _commit(path: Path, folder: Path, body: Body) -> None:
    temporary = folder / INDEX
    try:
        write_index(temporary, body)
        temporary.replace(path / INDEX)  # the new generation counts from here on
    except OSError as error:
        raise _explained(path, error) from error
    sync_folder(path)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}{SUFFIX}"


class Saved:
    """A saved state, read file by file.

    Attributes
    ----------
    generation : int
    facts : JSON value
    parts : list of list of int
        The `part` of each rank that saved.
    """

    def __init__(self, path: Path) -> None:
        body = self._hold(path)
        self.generation, self.facts, self.parts = body["generation"], body["facts"], body["parts"]
        self._headers: dict[str, int] = body["headers"]

    def _hold(self, path: Path) -> Body:
        """Return the index of a generation that no save removes while this object lives."""
        before = None
        while True:
            body = read_index(path)
            self._folder = folder_of(path, body["generation"])
            try:
                descriptor = _generations.hold(self._folder, body["generation"])
            except OSError as error:
                raise StateError(f"{self._folder} cannot be read: {error.strerror}") from error
            except Mismatch as error:
                raise StateError(f"{self._folder} is damaged: {error}") from None
            if descriptor is not None:
                weakref.finalize(self, os.close, descriptor)
                return body
            if body == before:  # a generation without a mark, or none at all, which `read` names
                return body
            before = body  # a save may have replaced it since: then the index names another now

    def __contains__(self, name: str) -> bool:
        """Whether a file of this name was saved."""
        return name in self._headers

    def read(self, name: str, wanted: Callable[[str], bool] = lambda name: True) -> Tensors:
        """Read one file, or some of its tensors, and check every byte of what is read."""
        if name not in self._headers:
            raise StateError(f"{self._folder} is damaged: the index does not name {name}")
        return read_tensors(_file(self._folder, name), self._headers[name], wanted)

    def cut(
        self,
        name: str,
        prefix: str,
        ranges: list[tuple[int, int]],
        wanted: tuple[int, int],
        tensors: Callable[[str], bool] = lambda tensor: True,
    ) -> Tensors:
        """Return the rows of `wanted` from the files of all ranks, each of which holds a range.

        Only those `tensors` whose name begins with `prefix`, and has no other prefix, are read.
        """

        def is_meant(tensor: str) -> bool:
            here = tensor.startswith("outstanding/") == bool(prefix)
            return here and tensor.startswith(prefix) and tensors(tensor)

        pieces: dict[str, list[NDArray[Any]]] = {}
        first, last = wanted
        for rank, (begin, end) in enumerate(ranges):
            here = max(first, begin), min(last, end)
            if here[0] >= here[1] and rank:
                continue  # the first file says what the tensors are, when no row is wanted
            file = f"{name}-{rank:05d}"
            for tensor, values in self.read(file, is_meant).items():
                if not values.ndim or len(values) != end - begin:
                    raise StateError(
                        f"{_file(self._folder, file)} is damaged: {tensor} must have "
                        f"{end - begin} rows, got shape {list(values.shape)}"
                    )
                rows = values[max(here[0] - begin, 0) : max(here[1] - begin, 0)]
                pieces.setdefault(tensor, []).append(rows)
        for tensor, arrays in pieces.items():
            kinds = {(array.dtype, array.shape[1:]) for array in arrays}
            if len(kinds) > 1 or sum(map(len, arrays)) != last - first:
                raise StateError(
                    f"{self._folder} is damaged: the files of {name} do not give rows [{first}, "
                    f"{last}) of {tensor}, all of one kind"
                )
        return {tensor: _joined(pieces.pop(tensor)) for tensor in [*pieces]}


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
