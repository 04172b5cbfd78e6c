"""One call at a time: what a signal handler, or another thread, may not begin in the middle."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import FrameType

    from dynsample.groups import Group

_PACKAGE = str(Path(__file__).parents[1])  # dynsample


class Guarded(Protocol):
    """What changes as a whole, on all ranks together."""

    group: Group
    put_off: list[Callable[[], None]]


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
    with run.group.whole(what):
        call()


def running(run: Guarded) -> tuple[str, bool] | None:
    """Name the call that is running, and say whether this thread is in it, as a handler may be.

    The stacks are asked, as a flag would stay behind where an interrupt comes in between.
    """
    here = threading.get_ident()
    frame: FrameType | None = None
    tops = sys._current_frames()
    try:
        while tops:
            thread, frame = tops.popitem()
            while frame is not None:
                if frame.f_code is _run.__code__ and frame.f_locals["run"] is run:
                    return frame.f_locals["what"], thread == here
                frame = frame.f_back
        return None
    finally:  # this frame is among them: one that knew itself would stay, with those of all callers
        frame = None
        tops.clear()


def warn(message: str) -> None:
    """Warn at the line of the user's that led here, also through code of others."""
    level, last = 1, 1
    frame: FrameType | None = sys._getframe(0)
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            last = level
        level, frame = level + 1, frame.f_back
    warnings.warn(message, RuntimeWarning, stacklevel=last + 1)
