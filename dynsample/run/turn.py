"""One call at a time: what a signal handler, or another thread, may not begin in the middle."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from dynsample.groups import Group

_PACKAGE = str(Path(__file__).parents[1])  # dynsample


class Inside(NamedTuple):
    """A call that changes a run as a whole: its frame, what it is called, and its thread."""

    frame: FrameType
    what: str
    thread: int


class Guarded(Protocol):
    """What changes as a whole, on all ranks together."""

    group: Group
    put_off: list[Callable[[], None]]
    inside: Inside | None


def alone(run: Guarded, what: str, call: Callable[[], None]) -> None:
    """Run a call that changes a run as a whole, and then what was put off meanwhile.

    Raises
    ------
    RuntimeError
        When another such call has not ended.
    """
    if (other := running(run)) is not None:
        where = "around it" if other[1] else "in another thread"
        raise RuntimeError(f"{what} was called while {other[0]} runs {where}: call it afterwards")
    try:
        _run(run, what, call)
    finally:
        while run.put_off:
            run.put_off.pop(0)()


def _run(run: Guarded, what: str, call: Callable[[], None]) -> None:
    try:
        run.inside = Inside(sys._getframe(), what, threading.get_ident())
        with run.group.whole(what):
            call()
    finally:
        run.inside = None


def running(run: Guarded) -> tuple[str, bool] | None:
    """Name the call that is running, and say whether this thread is in it, as a handler may be."""
    inside = run.inside
    if inside is None:
        return None
    try:
        inside.frame.clear()
    except RuntimeError:  # it is executing
        return inside.what, inside.thread == threading.get_ident()
    return None  # an interrupt came between the call and its end


def warn(message: str) -> None:
    """Warn at the line of the user's that led here, also through code of others."""
    level, last = 1, 1
    frame: FrameType | None = sys._getframe(0)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            last = level
        level, frame = level + 1, frame.f_back
    warnings.warn(message, RuntimeWarning, stacklevel=last + 1)
