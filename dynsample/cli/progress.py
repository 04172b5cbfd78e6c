"""How far slow work is: a bar on a terminal, else a line every so often, both on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dynsample.cli.printing import has_rich, printable, say

_FIRST = 4.0  # seconds until the first line
_SHARE = 0.1  # of the time so far that passes until the next one, at least


class Progress:
    """Work of which some is done.

    Attributes
    ----------
    what : str
        What is being done now.
    done : int
    total : int or None
        None when nobody knows yet.
    """

    def __init__(self, what: str, unit: str, total: int | None) -> None:
        self.what, self.unit, self.done, self.total = what, unit, 0, total

    def advance(self, count: int = 1) -> None:
        """Say that so much more is done."""
        self.update(done=self.done + count)

    def update(
        self, *, done: int | None = None, total: int | None = None, what: str | None = None
    ) -> None:
        """Say how much is done, of how much, or what comes now."""
        self.done = self.done if done is None else done
        self.total = self.total if total is None else total
        self.what = self.what if what is None else what
        self.show()

    def show(self) -> None:
        """Show it."""


class _Lines(Progress):
    """Lines that come seldom: one in four seconds at first, and ever fewer."""

    def __init__(self, what: str, unit: str, total: int | None) -> None:
        super().__init__(what, unit, total)
        self.begin = time.monotonic()
        self.due = self.begin + _FIRST

    def show(self) -> None:
        """Print a line when one is due."""
        now = time.monotonic()
        if now < self.due:
            return
        spent = now - self.begin
        self.due = now + max(_FIRST, _SHARE * spent)
        name = f"{self.what}: " if self.what else ""
        if self.total is None:
            say(f"{name}{self.done} {self.unit} so far, {lasting(spent)}", sys.stderr)
            return
        still = ""
        if 0 < self.done <= self.total:  # more is done where the total was a least
            left = spent * (self.total - self.done) / self.done
            still = f", about {lasting(left)} left"
        say(f"{name}{self.done} of {self.total} {self.unit}{still}", sys.stderr)


@contextmanager
def progress(what: str, unit: str, total: int | None = None) -> Iterator[Progress]:
    """Show how far the work of a block is.

    Parameters
    ----------
    what : str
        What is being done.
    unit : str
        What is counted: "images", "runs".
    total : int, optional
        How many there are.
    """
    if not (has_rich() and sys.stderr.isatty()):
        yield _Lines(what, unit, total)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn(unit), TimeRemainingColumn(),
    )  # fmt: skip
    with Bars(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(printable(what), total=total)

        class Bar(Progress):
            def show(self) -> None:
                bars.update(
                    task,
                    description=printable(self.what),
                    completed=self.done,
                    total=self.total,
                )

        yield Bar(what, unit, total)


def lasting(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
