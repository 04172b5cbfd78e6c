"""What ends a life: SIGKILL to one rank or to all at once, or a signal that a rank catches."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from dynsample.cli.chaos.page import OwnPage, Page
from dynsample.cli.chaos.scenario import Orders

CAUGHT = (signal.SIGINT, signal.SIGTERM)


def strike(orders: Orders) -> bool:
    """Do the kill that was ordered, now; False when nobody was there any more.

    Where several ranks are killed, the one that may be this one comes last.
    """
    kill = orders.kill
    assert kill is not None
    ranks = range(orders.size) if kill.kind == "all" else [kill.rank]
    pages = [
        Page.look(orders.page(rank)) for rank in sorted(ranks, key=lambda rank: rank == kill.rank)
    ]
    number = signal.Signals[kill.kind] if kill.caught else signal.SIGKILL
    struck = False
    for pid in [page.pid for page in pages if page]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            struck = True
    return struck


class Signals:
    """SIGINT and SIGTERM as the loop of one rank sees them.

    Attributes
    ----------
    came : bool
        Whether one came.
    at_once : callable or None
        What the handler does, once; on several ranks nothing, they agree first.
    acted : bool
        Whether it did.
    """

    def __init__(self, page: OwnPage) -> None:
        self.came = False
        self.at_once: Callable[[], None] | None = None
        self.acted = False
        self._page, self._held = page, False

    def catch(self) -> None:
        """Catch both from now on."""
        for number in CAUGHT:
            signal.signal(number, self._handle)

    def ignore(self) -> None:
        """Ignore both from now on: the interpreter gives them back to the system as it ends."""
        for number in CAUGHT:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number: int, frame: object) -> None:
        if self.came:
            return
        self.came = True
        self._page.catch()
        if not self._held:
            self._act()

    def _act(self) -> None:
        if self.at_once and not self.acted:
            self.acted = True
            self.at_once()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait for the end of what must not be seen half done."""
        self._held = True
        yield
        self._held = False
        if self.came:
            self._act()
