"""How ranks keep in step: what every collective call begins with, and what leaves one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.groups.flat import Bytes
from dynsample.groups.interrupts import GRACE
from dynsample.groups.standing import (
    INLINE,
    GroupError,
    Standing,
    as_row,
    brief,
    greeting,
    out_of_step,
    read,
)

_NOTHING = np.empty(0, np.uint8)


class Calls(ABC):
    """The calls of a rank, each of which begins with a comparison of what it is for.

    Parameters
    ----------
    rank, size : int
    time_limit : float
        Seconds that any call may wait for the other ranks.
    standing : Standing, optional
        How this rank stands, where other groups speak over the same communicator.
    """

    def __init__(
        self, rank: int, size: int, time_limit: float, standing: Standing | None = None
    ) -> None:
        if not time_limit > 0:
            raise ValueError(f"time_limit must be positive, got {time_limit!r} seconds")
        self.rank, self.size, self.time_limit = rank, size, float(time_limit)
        self._standing = Standing() if standing is None else standing

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank={self.rank}, size={self.size})"

    @contextmanager
    def whole(self, what: str) -> Iterator[None]:
        """Make a sequence of calls that no rank may leave in the middle.

        An exception that leaves it on every rank, after the same call, leaves the group as it is.
        One that leaves it on some ranks only breaks the group; the others get a `GroupError` in
        the call that they make next, and this one waits some seconds at most for them to come.
        """
        standing = self._standing
        if self.size == 1:
            yield
            return
        standing.check(what)
        depth = len(standing.purposes)
        with nullcontext() if depth else standing.signals:
            try:
                standing.purposes.append(what)
                yield
            except BaseException as error:
                if depth == 0 and not standing.broken:
                    self._leave(what, error)
                raise
            finally:
                del standing.purposes[depth:]

    def _leave(self, what: str, error: BaseException) -> None:
        """Tell the other ranks; the group stays whole where all of them leave."""
        standing = self._standing
        left = f"left {what} ({brief(error)})"
        standing.broken, standing.leaving = f"rank {self.rank} of {self.size} {left}", True
        try:
            standing.signals.busy = True
            self._compare(f"left {what}", left, what)
            standing.broken = ""
        except GroupError:
            pass  # the cause matters, not what came of it
        finally:
            standing.leaving = standing.signals.busy = False
            standing.signals.deliver()

    @contextmanager
    def _call(self, what: str) -> Iterator[None]:
        """Make one call: whole, and with signals put off until it is over."""
        standing = self._standing
        if self.size == 1:
            yield
            return
        with self.whole(what):
            try:
                standing.signals.busy = True
                yield
            except BaseException as error:
                left = f"rank {self.rank} of {self.size} left {what} ({brief(error)})"
                standing.broken = standing.broken or left
                raise
            finally:
                standing.signals.busy = False
                standing.signals.deliver()

    def _meet(
        self, name: str, what: str, sent: Bytes = _NOTHING, length: int | None = None
    ) -> tuple[list[int], NDArray[np.uint8] | None]:
        """Begin a call as every call begins.

        Returns
        -------
        lengths : list of int
            The bytes that each rank sends, or what it gave as `length`.
        small : uint8[P, n] or None
            What the ranks sent, if it is so short that it came with this.
        """
        given = len(sent) if length is None else length
        if self.size == 1:
            return [given], None
        purpose = f"{self._standing.purpose()} (call {self._standing.calls + 1}, {name})"
        lengths, small = self._compare(purpose, f"is at {purpose}", what, sent, given)
        longest = max(lengths) if length is None else len(sent)
        return lengths, None if longest > INLINE else small[:, :longest]

    def _compare(
        self, purpose: str, text: str, what: str, sent: Bytes = _NOTHING, length: int = 0
    ) -> tuple[list[int], NDArray[np.uint8]]:
        standing = self._standing
        standing.calls += 1
        row = greeting(f"{standing.calls} {purpose}", sent, length)
        alike, lengths, small = read(self._gather_rows(row, what))
        if not alike:
            standing.broken = out_of_step(self._gather_rows(as_row(text), what))
            raise GroupError(standing.broken)
        return lengths, small

    @abstractmethod
    def _gather_rows(self, row: NDArray[Any], what: str) -> NDArray[Any]:
        """Gather rows of one length and dtype: [P, n], a new array."""

    def _waited(self, what: str) -> str:
        return (
            f"rank {self.rank} of {self.size} waited {self.time_limit:g} s for {what}: "
            "another rank has died, stalls, or did not make this call"
        )

    @property
    def _patience(self) -> float:
        """Seconds that the present call may wait."""
        return min(self.time_limit, GRACE) if self._standing.leaving else self.time_limit
