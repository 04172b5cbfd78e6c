"""Python's signal handlers, put off while a collective call is under way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Any

GRACE = 5.0  # seconds that a signal waits for a call to end; also what a rank that leaves waits

# Those that programs have handlers for; torch's loaders raise out of that of SIGCHLD.
_NAMES = ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "ALRM", "CHLD", "XCPU"]
_NUMBERS = [getattr(signal, f"SIG{name}") for name in _NAMES if hasattr(signal, f"SIG{name}")]


class Deferred:
    """A context in which handlers of signals run only while `busy` is false.

    So Ctrl-C, or a handler that raises, comes before or after a collective call and not in the
    middle, where nobody could say what the other ranks wait for. While a call waits for them,
    `deliver` runs what has waited for `GRACE` seconds, or came twice.
    """

    def __init__(self) -> None:
        self.busy = False
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._noted: list[tuple[int, FrameType | None]] = []
        self._since = 0.0

    def __enter__(self) -> None:
        if threading.get_ident() != threading.main_thread().ident:
            return  # handlers run in the main thread only
        for number in _NUMBERS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._handle:  # and not another one since
                signal.signal(number, handler)
        self._handlers = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.busy:
            self._handlers[number](number, frame)
            return
        if not self._noted:
            self._since = time.monotonic()
        self._noted.append((number, frame))

    def deliver(self) -> None:
        """Run the handlers of what was noted."""
        if not self._noted:
            return
        noted, self._noted = self._noted, []
        with ExitStack() as all_of_them:  # also after one that raises
            for number, frame in reversed(noted):
                all_of_them.callback(self._handlers[number], number, frame)

    def deliver_overdue(self, now: float) -> None:
        """Run the handlers whose time is up; what they raise leaves the call."""
        if self._noted and (len(self._noted) > 1 or now - self._since > GRACE):
            self.deliver()
