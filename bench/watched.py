"""A group whose collective calls are looked at: how much goes out, how long it takes, who runs."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynsample.groups import Group

# What is done around a collective call (kind, bytes given, call): it runs it and gives its result.
Watch = Callable[[str, int, Callable[[], Any]], Any]


class Watched(Group):
    """Another group, with `watch` around its calls."""

    def __init__(self, group: Group, watch: Watch) -> None:
        super().__init__(group.rank, group.size, group.time_limit, group._standing)
        self._group, self._watch = group, watch

    def _around(self, kind: str, call: Callable[..., Any], *given: Any) -> Any:
        return self._watch(kind, given[0].nbytes, lambda: call(*given))

    def _sum(self, *given: Any) -> Any:
        return self._around("sum", self._group._sum, *given)

    def _scan(self, *given: Any) -> Any:
        return self._around("sum", self._group._scan, *given)

    def _gather_rows(self, *given: Any) -> Any:
        return self._around("gather", self._group._gather_rows, *given)

    def _all_gather(self, *given: Any) -> Any:
        return self._around("gather", self._group._all_gather, *given)

    def _turn(self, *given: Any) -> Any:
        return self._around("exchange", self._group._turn, *given)

    def _exchange(self, *given: Any) -> Any:
        return self._around("exchange", self._group._exchange, *given)


@dataclass
class Schedule:
    """The calls of a rank, in order: kind, bytes that it gives, and the seconds in all of them."""

    calls: list[tuple[str, int]] = field(default_factory=list)
    seconds: float = 0.0

    def __call__(self, kind: str, sent: int, call: Callable[[], Any]) -> Any:
        """Run one call."""
        self.calls.append((kind, sent))
        start = time.perf_counter()
        result = call()
        self.seconds += time.perf_counter() - start
        return result


class Meter:
    """What one simulated rank allocates while it is its turn, as tracemalloc counts it.

    What it receives counts as its own, and what a transport would hold of it while it is under
    way: as much as is sent.
    """

    def __init__(self) -> None:
        self.held = self.peak = self._start = 0

    def resume(self) -> None:
        """Begin, or go on with, the rank's own steps."""
        tracemalloc.reset_peak()
        self._start = tracemalloc.get_traced_memory()[0]

    def pause(self) -> None:
        """End the rank's own steps for now."""
        now, highest = tracemalloc.get_traced_memory()
        self.peak = max(self.peak, self.held + highest - self._start)
        self.held += now - self._start

    def __call__(self, kind: str, sent: int, call: Callable[[], Any]) -> Any:
        """Run one call, in which it is the turn of others."""
        self.pause()
        result = call()
        received = result if isinstance(result, list) else [result]
        came = int(np.sum([part.nbytes for part in received]))
        self.peak = max(self.peak, self.held + sent + came)
        self.held += came
        self.resume()
        return result
