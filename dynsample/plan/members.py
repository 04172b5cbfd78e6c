"""What a rank holds of a sharded pass: the members that it owns, and the rows delivered to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.plan.dealing import Steps

CHUNK = 1 << 17  # rows of an owner that are worked on, and sent, at a time


@dataclass(frozen=True, eq=False)
class Members:
    """Rows of one pass that this rank owns.

    Attributes
    ----------
    times : uint[n] or uint8[n / 8]
        How often each of the owned rows is drawn; one bit each with `bits`.
    bits : bool
    bounds : (int, int)
        First row that this rank owns, and the one after the last.
    before : int
        Members on lower ranks.
    count : int
        Members on all ranks.
    """

    times: NDArray[np.unsignedinteger[Any]]
    bits: bool
    bounds: tuple[int, int]
    before: int
    count: int

    def _windows(self) -> Iterator[tuple[int, NDArray[Any]]]:
        first, last = self.bounds
        for start in range(first, last, CHUNK):
            stop = min(start + CHUNK, last)
            begin, end = start - first, stop - first
            if self.bits:
                yield start, np.unpackbits(self.times[begin // 8 : -(-end // 8)], count=end - begin)
            else:
                yield start, self.times[begin:end]

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """Yield the rows in ascending order, as often as they are drawn, some at a time."""
        for start, times in self._windows():
            rows = np.flatnonzero(times)
            if not self.bits:
                rows = np.repeat(rows, times[rows])
            for begin in range(0, len(rows), CHUNK):
                yield rows[begin : begin + CHUNK] + start

    @cached_property
    def num_chunks(self) -> int:
        """How many `chunks` there are."""
        return sum(-(-int(times.sum(dtype=np.int64)) // CHUNK) for _, times in self._windows())


class Delivered:
    """Rows that came to this rank for the positions [begin, stop) of a pass, and their weights."""

    def __init__(self, steps: Steps, begin: int, stop: int, *, weighted: bool) -> None:
        self.steps, self.begin, self.stop = steps, begin, stop
        self.rows = np.empty(steps.count(begin, stop), np.uint32)
        self.weights = np.ones(len(self.rows) if weighted else 0, np.float32)
        self.padded = np.empty(0, np.uint32)

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Return what it holds."""
        return self.rows, self.weights, self.padded

    def serves(self, steps: Steps, begin: int, stop: int) -> bool:
        """Whether the blocks of [begin, stop) are among these."""
        offset = begin - self.begin
        aligned = offset >= 0 and offset % steps.rows == 0
        return steps == self.steps and stop == self.stop and (aligned or begin == stop)

    def __call__(self, first: int, last: int) -> NDArray[np.int64]:
        """Rows at the positions [first, last) of one block, or the padded row."""
        place = int(self.steps.places(np.array([first]), self.begin, self.stop)[0])
        begin, stop = self.steps.block(*self._step(first))
        if not begin <= first < stop:
            return self.padded.astype(np.int64)
        return self.rows[place : place + last - first].astype(np.int64)

    def _step(self, position: int) -> tuple[int, int]:
        start = position - (position - self.begin) % self.steps.rows
        return start, min(start + self.steps.rows, self.stop)

    @cached_property
    def _by_row(self) -> NDArray[np.int64]:
        return np.argsort(self.rows, kind="stable")

    def find(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of rows, -1 for those that are not here."""
        if not len(self.rows):
            return np.full(len(rows), -1)
        order = self._by_row
        at = np.searchsorted(self.rows, rows.astype(np.uint32), sorter=order)
        places = order[np.minimum(at, len(order) - 1)]
        found: NDArray[np.int64] = np.where(self.rows[places] == rows, places, -1)
        return found
