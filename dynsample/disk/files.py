"""Files that are whole or absent, names that are on the disk, and which are not to be replaced."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_STEM = 100  # bytes of a file's name that a partial one carries; a name has 255 at most


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_regular(path: str | os.PathLike[str], flags: int = 0) -> BinaryIO:
    """Open a file to be read; a pipe, a device or a folder is an error, and not waited for.

    Raises
    ------
    OSError
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """Return all of a file that is a regular one."""
    with open_regular(path) as file:
        return file.read()


def try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool | None:
    """Lock an open file at once; None where the file system has no locks.

    The lock ends with the process, and with the last descriptor that came of this one.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


@contextlib.contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to fill; it takes the place of `path` when the block ends, else none is left.

    What an earlier process was killed over is removed: the file has a name that only this function
    gives, and the lock that a living writer holds is not held. An error of the system, such as a
    full disk or a missing folder, names `path`.
    """
    partial = None
    try:
        _remove_abandoned(path)
        partial, file = _new_partial(path)
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno is None or not _is_of_partial(error, path):
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _stem(path: Path) -> str:
    return "." + os.fsdecode(os.fsencode(path.name)[:_STEM]) + ".dynsample-"


def _is_of_partial(error: OSError, path: Path) -> bool:
    """Whether an error names no file, as of a full disk, or a partial one of this path."""
    name = error.filename
    return name is None or (isinstance(name, str) and Path(name).name.startswith(_stem(path)))


def _new_partial(path: Path) -> tuple[Path, BinaryIO]:
    while True:
        partial = path.with_name(f"{_stem(path)}{secrets.token_hex(8)}.partial")
        file = open(partial, "x+b")  # noqa: SIM115
        if try_lock(file.fileno()) is not False and is_at(file.fileno(), partial):
            return partial, file
        file.close()  # another writer took it for abandoned before it was locked


def _remove_abandoned(path: Path) -> None:
    pattern = glob.escape(_stem(path)) + "[0-9a-f]" * 16 + ".partial"
    for partial in path.parent.glob(pattern):
        with contextlib.suppress(OSError), open_regular(partial, os.O_NOFOLLOW) as file:
            if try_lock(file.fileno()):
                partial.unlink()


def as_folder(path: str | os.PathLike[str], name: str = "path") -> Path:
    """Return the path of a folder; an empty one, which is the current folder, is a mistake."""
    if not os.fspath(path):
        raise ValueError(f"{name} must name a folder, got {path!r}; '.' is the current one")
    return Path(path)


def refuse_overwrite(
    path: str | os.PathLike[str], force: bool = False, content: bytes | None = None
) -> None:
    """Raise FileExistsError when a file is there already, unless `force` or it holds `content`."""
    target = Path(path)
    if force or not os.path.lexists(target):
        return
    if target.exists() and not target.is_file():
        return  # a pipe or device has nothing to lose, and writing to a folder fails
    if content is None or not target.is_file() or not _holds(target, content):
        raise FileExistsError(f"{path} exists already; --force replaces it")


def _holds(path: Path, content: bytes) -> bool:
    return path.stat().st_size == len(content) and path.read_bytes() == content
