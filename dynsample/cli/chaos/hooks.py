"""Points at which a rank may die, in the middle of what dynsample does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from dynsample.cli.chaos.page import OwnPage
from dynsample.cli.chaos.scenario import Kill
from dynsample.groups import Group
from dynsample.groups.flat import Bytes
from dynsample.policies.base import Policy

P = ParamSpec("P")
T = TypeVar("T")
_EXCHANGE = "the exchange of the observations"  # as dynsample names what it waits for


class Hooks:
    """Counts the points that this rank passes, by phase, and strikes at the one it was told.

    Parameters
    ----------
    page : OwnPage
    kill : Kill, optional
        The kill that is meant for this rank; one from outside is not done here.
    strike : callable
        Does the kill.
    """

    def __init__(self, page: OwnPage, kill: Kill | None, strike: Callable[[], object]) -> None:
        self._page, self._strike = page, strike
        self._kill = None if kill is None or kill.outside else kill
        self._phase = "start"

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Be in a phase."""
        before, self._phase = self._phase, name
        self._page.enter(name)
        yield
        self._phase = before
        self._page.enter(before)

    def __call__(self) -> None:
        """Pass a point."""
        phase, passed = self._page.count()
        kill = self._kill
        if kill and kill.phase == phase and passed >= kill.entry:
            self._kill = None
            self._page.die()
            self._strike()

    def around(self, call: Callable[P, T]) -> Callable[P, T]:
        """Make a function that passes a point before `call`, and one after it."""

        def hooked(*args: P.args, **named: P.kwargs) -> T:
            self()
            result = call(*args, **named)
            self()
            return result

        return hooked

    def watch_selections(self, policy: type[Policy]) -> None:
        """Pass a point before and after an epoch is selected, in the middle of `set_epoch`."""
        policy.select = self.around(policy.select)  # type: ignore[method-assign]

    def watch_writes(self) -> None:
        """Pass a point before and after whatever goes to the disk, and is renamed there."""
        for name in ("fsync", "replace", "rename"):
            setattr(os, name, self.around(getattr(os, name)))


class HookedGroup(Group):
    """A group that passes a point before and after each collective call."""

    def __init__(self, group: Group, hooks: Hooks) -> None:
        super().__init__(group.rank, group.size, group.time_limit, group._standing)
        self._group, self._hooks = group, hooks

    def _hooked(self, what: str, call: Callable[[], T]) -> T:
        exchange = what.startswith(_EXCHANGE)
        with self._hooks.phase("exchange") if exchange else contextlib.nullcontext():
            return self._hooks.around(call)()

    def _sum(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        return self._hooked(what, lambda: self._group._sum(words, what))

    def _scan(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        return self._hooked(what, lambda: self._group._scan(words, what))

    def _gather_rows(self, row: NDArray[Any], what: str) -> NDArray[Any]:
        return self._hooked(what, lambda: self._group._gather_rows(row, what))

    def _all_gather(self, sent: Bytes, lengths: list[int], what: str) -> list[Bytes]:
        return self._hooked(what, lambda: self._group._all_gather(sent, lengths, what))

    def _turn(self, values: NDArray[np.int64], what: str) -> NDArray[np.int64]:
        return self._hooked(what, lambda: self._group._turn(values, what))

    def _exchange(
        self,
        sent: Bytes,
        lengths: NDArray[np.int64],
        counts: NDArray[np.int64],
        longest: int,
        what: str,
    ) -> Bytes:
        call = partial(self._group._exchange, sent, lengths, counts, longest, what)
        return self._hooked(what, call)
