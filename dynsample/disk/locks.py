"""A lock that processes of one or several hosts take one after the other, with a time limit."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from dynsample.disk.files import try_lock

_RETRY = 0.02  # seconds
_PROCESS = secrets.token_hex(8)  # tells processes apart that have one number on one host name


class LockError(TimeoutError):
    """The lock is held by another, who is named, or by this thread already."""


@contextlib.contextmanager
def locked(path: Path, seconds: float, what: str) -> Iterator[bool]:
    """Hold the lock that a file carries, which is made when it is not there.

    Parameters
    ----------
    path : Path
    seconds : float
        To wait for another who holds it.
    what : str
        It is held for.

    Yields
    ------
    bool
        False where the file system has no locks.

    Raises
    ------
    LockError
        After the time limit; at once when it is this thread that holds the lock, as a signal
        handler finds that interrupted it.
    OSError
        When the file cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    # Left twice: an interrupt may come in the line that leaves a block, and the lock would stay.
    with contextlib.ExitStack() as ending, ending:
        descriptor = os.open(path, flags, 0o666)
        ending.callback(os.close, descriptor)
        held = _wait(descriptor, path, seconds, what)
        if held:
            ending.callback(_release, descriptor)
            _note(descriptor, f"{_holder()}\n{what}\n")
        yield held


def _release(descriptor: int) -> None:
    _note(descriptor, "")
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # also of a forked child's descriptor


def _wait(descriptor: int, path: Path, seconds: float, what: str) -> bool:
    give_up = time.monotonic() + seconds
    while (got := try_lock(descriptor)) is False:
        holder, _, doing = os.pread(descriptor, 4096, 0).decode(errors="replace").partition("\n")
        if holder == _holder():
            raise LockError(
                f"{what} was called inside of {doing.strip()}, which this thread was interrupted in"
            )
        if time.monotonic() > give_up:
            who = f"{holder.split(' (')[0]}, {doing.strip()}" if holder else "another process"
            raise LockError(f"{what} waited {seconds:g} s for {path}, which is held by {who}")
        time.sleep(_RETRY)
    return bool(got)


def _note(descriptor: int, text: str) -> None:
    """Say in the file who holds its lock; without room on the disk nobody is told."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(errors="replace"), 0)


def _holder() -> str:
    place = f"process {os.getpid()} on {socket.gethostname()}"
    return f"{place} ({_PROCESS} {threading.get_ident()})"
