"""Waiting for a device, with an end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

TIME_LIMIT_S = 60.0


def wait(event: torch.cuda.Event, what: str, limit_s: float = TIME_LIMIT_S) -> None:
    """Wait for an event of a device, but not longer than a minute.

    Raises
    ------
    RuntimeError
        When the time is up; it says what was waited for.
    """
    deadline = time.monotonic() + limit_s
    while not event.query():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the device did not finish {what} in {limit_s:g} s")
        time.sleep(20e-6)
