"""Many ranks in one process, in turn: for tests, and for models of large worlds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dynsample.groups.base import TIME_LIMIT, Group, GroupError
from dynsample.groups.flat import Bytes, split

T = TypeVar("T")


def simulate(size: int, body: Callable[[Group], T], time_limit: float = TIME_LIMIT) -> list[T]:
    """Run `body(group)` on `size` ranks, in threads of this process; return the results by rank.

    The ranks run in turn, each up to its next collective call, so that only one runs at any moment
    and every run takes the same course. Nothing waits for time: where a rank has ended, or makes
    another call, the others fail at once.

    Raises
    ------
    Exception
        What a rank raised; what another rank raised because of it only if there is nothing else.

    Examples
    --------
    >>> def digest(group):
    ...     sampler = ds.Sampler(100, batch_size=10, group=group)
    ...     return sampler.plan.digest
    >>> len(set(ds.groups.simulate(4, digest)))
    1
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    world = _World([SimulatedGroup(rank, size, time_limit) for rank in range(size)])
    results: list[Any] = [None] * size

    def run(group: SimulatedGroup) -> None:
        world.gates[group.rank].acquire()
        try:
            results[group.rank] = body(group)
        except _EndedError:
            pass
        except BaseException as error:
            world.errors.append(error)
        finally:
            world.leave(group.rank)

    threads = [threading.Thread(target=run, args=(group,), daemon=True) for group in world.groups]
    for thread in threads:
        thread.start()
    world.gates[0].release()
    for thread in threads:
        thread.join()
    for error in sorted(world.errors, key=lambda error: isinstance(error, GroupError)):
        raise error
    return results


class _EndedError(BaseException):
    """Another rank has raised: this one ends, past any `except Exception` of the body."""


@dataclass
class _Call:
    """A collective call: what each rank gave, and what was computed from it once."""

    name: str
    what: str
    given: list[Any] = field(default_factory=list)
    result: Any = None


class _World:
    def __init__(self, groups: list[SimulatedGroup]) -> None:
        self.groups = groups
        self.gates = [threading.Semaphore(0) for _ in groups]
        self.running = [True] * len(groups)
        self.errors: list[BaseException] = []
        self.call: _Call | None = None  # the latest; ranks that read the one before hold it
        for group in groups:
            group.world = self

    def leave(self, rank: int) -> None:
        self.running[rank] = False
        self._next(rank)

    def _next(self, rank: int) -> None:
        size = len(self.groups)
        for turn in range(rank + 1, rank + 1 + size):
            if self.running[turn % size]:
                self.gates[turn % size].release()
                return

    def meet(self, rank: int, name: str, given: object, what: str) -> _Call:
        """Join the call that the others make; return it once all ranks have joined."""
        size = len(self.groups)
        if self.call is None or len(self.call.given) == size:
            self.call = _Call(name, what)
        call = self.call
        if (call.name, len(call.given)) != (name, rank):
            self._fail(rank, f"rank {rank} of {size} called {name} for {what}", call)
        call.given.append(given)
        self._next(rank)
        self.gates[rank].acquire()
        if len(call.given) < size:
            self._fail(rank, f"rank {rank} of {size} waited for {what}", call)
        return call

    def _fail(self, rank: int, message: str, call: _Call) -> None:
        if self.errors:
            raise _EndedError
        raise GroupError(
            f"{message}: only {len(call.given)} ranks called {call.name} for {call.what}"
        )


class SimulatedGroup(Group):
    """One of the ranks of `simulate`."""

    world: _World

    def _sum(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        call = self.world.meet(self.rank, "sum", words.copy(), what)
        if call.result is None:
            call.result = np.zeros_like(words)
            for given in call.given:
                call.result += given
        total: NDArray[Any] = call.result.copy()
        return total

    def _scan(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        call = self.world.meet(self.rank, "exclusive_scan", words.copy(), what)
        if self.rank == 0:
            call.result = np.zeros_like(words)  # grows as the ranks read it, one after the other
        below: NDArray[Any] = call.result.copy()
        call.result += call.given[self.rank]
        return below

    def _gather_rows(self, row: NDArray[Any], what: str) -> NDArray[Any]:
        call = self.world.meet(self.rank, "gather_rows", row.copy(), what)
        if call.result is None:
            call.result = np.stack(call.given)
        rows: NDArray[Any] = call.result.copy()
        return rows

    def _all_gather(self, sent: Bytes, lengths: list[int], what: str) -> list[Bytes]:
        call = self.world.meet(self.rank, "all_gather", sent.copy(), what)
        return split(np.concatenate(call.given), lengths)

    def _turn(self, values: NDArray[np.int64], what: str) -> NDArray[np.int64]:
        call = self.world.meet(self.rank, "turn", values.copy(), what)
        return np.array([given[self.rank] for given in call.given])

    def _exchange(
        self,
        sent: Bytes,
        lengths: NDArray[np.int64],
        counts: NDArray[np.int64],
        longest: int,
        what: str,
    ) -> Bytes:
        starts = np.append(0, np.cumsum(lengths))
        call = self.world.meet(self.rank, "exchange", (sent.copy(), starts), what)
        rank = self.rank
        return np.concatenate([given[at[rank] : at[rank + 1]] for given, at in call.given])
