"""Passes over a plan: the epoch's batches, and those of the hidden samples."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsample._checks import MAX_SAMPLES, integer
from dynsample.ledger import PADDED
from dynsample.shards import Steps

if TYPE_CHECKING:
    from dynsample.plan import Plan
    from dynsample.sampler import Sampler


@dataclass
class Pass:
    """How far one pass over the plan has come, in positions, on all ranks.

    Attributes
    ----------
    stop : int
        Where the pass ends, fixed when the epoch is planned.
    drawn : int
        Positions handed to whatever iterates.
    received : int
        Positions the users' loops received: the cursor. Behind `drawn` by what a loader prefetches.
    start : int
        Cursor at which the last iterator began.
    seconds : float
        From the start of each iterator until the last batch that it handed out.
    timed : int
        Positions received in that time.
    """

    hidden: bool
    stop: int
    drawn: int = 0
    received: int = 0
    start: int = 0
    seconds: float = 0.0
    timed: int = 0
    _since: float = 0.0

    def rewind(self) -> None:
        """Begin an iterator at the cursor: what was prefetched and not received comes again."""
        self.drawn = self.start = self.received
        self._since = time.perf_counter()

    def receive(self, rows: int) -> None:
        """Count rows that reached the users' loops."""
        now, rows = time.perf_counter(), min(rows, self.stop - self.received)
        self.seconds, self._since = self.seconds + now - self._since, now
        self.received += rows
        self.timed += rows


class BatchIterator:
    """Batches of ids of this rank, from the cursor on; also what a DataLoader iterates."""

    def __init__(self, sampler: Sampler, hidden: bool, batch_size: int, prefetching: bool) -> None:
        self._sampler = sampler
        self._steps = Steps(batch_size, sampler.group.rank, sampler.group.size)
        self._prefetching = prefetching
        self._begin(hidden)

    def _begin(self, hidden: bool) -> None:
        sampler = self._sampler
        self._plan, self._pass = sampler.plan, sampler._pass(hidden)
        self._pass.rewind()
        sampler._ring.drain(everything=True)  # what was observed before is in the log before
        sampler._ledger.issued[hidden].rewind(self._pass.received)
        begin, stop = self._pass.received, self._pass.stop
        self._rows = self._plan.source(self._steps, begin, stop, hidden=hidden)

    def __iter__(self) -> BatchIterator:
        return self

    def __next__(self) -> NDArray[np.int64]:
        cursor, steps = self._pass, self._steps
        check_current(self._sampler, self._plan, cursor)
        self._sampler._explicit = False
        start, stop = cursor.drawn, min(cursor.drawn + steps.rows, cursor.stop)
        if start >= stop:
            raise StopIteration
        first, last = steps.block(start, stop)
        if first < last:
            rows = self._rows(first, last)
            place = first
        else:  # fewer rows than ranks: nothing is left for this one, and it takes part all the same
            rows = self._rows(start, start + 1)
            place = PADDED
        self._sampler._ledger.issue(
            hidden=cursor.hidden, step=start, stop=stop, first=place, rows=rows
        )
        ids = self._plan.ids(rows)
        if first == last and not cursor.hidden:
            self._sampler._padded = ids
        cursor.drawn = stop
        if not self._prefetching:
            cursor.receive(stop - start)
        return ids

    def state_dict(self) -> dict[str, Any]:
        """State of the sampler, at the position of this iterator."""
        return self._sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the sampler, and with it this iterator, at a saved position."""
        self._sampler.load_state_dict(state)
        self._begin(self._pass.hidden)


def check_current(sampler: Sampler, plan: Plan, cursor: Pass) -> None:
    """Raise when the sampler left the plan, or the position, that an iterator is at."""
    if sampler.plan is not plan or sampler._pass(cursor.hidden) is not cursor:
        raise RuntimeError(
            f"epoch {plan.random.epoch} was left while it was being iterated: finish or "
            "drop the iterator before set_epoch or load"
        )


class HandOut:
    """Counts what an iterator of a prefetching loader handed to its user.

    Made when the iterator has begun to draw; `check` comes before every batch, `received` when the
    batch is handed out.
    """

    def __init__(self, sampler: Sampler, samples: Sampler | HiddenView) -> None:
        self._sampler, self._plan = sampler, sampler.plan
        self._rows = samples.batch_size * sampler.group.size
        self._pass = sampler._pass(hidden=samples is not sampler)
        self._position = self._pass.received

    def check(self) -> None:
        """Raise when the sampler is no longer where this iterator left it."""
        check_current(self._sampler, self._plan, self._pass)
        if self._pass.received != self._position:
            raise RuntimeError(
                "another iterator went on with the same pass: finish or drop one of them first"
            )

    def received(self) -> None:
        """Count one step."""
        self._pass.receive(self._rows)
        self._position = self._pass.received


class HiddenView:
    """The hidden samples of the epoch, to iterate after it; empty when no refresh is due.

    Parameters
    ----------
    sampler : Sampler
    batch_size : int, optional
        Of one rank; by default the sampler's.
    most : int
        What the loader can take.
    """

    def __init__(
        self, sampler: Sampler, batch_size: int | None = None, most: int = MAX_SAMPLES
    ) -> None:
        size = sampler.batch_size if batch_size is None else batch_size
        self.batch_size = integer(size, "batch_size", 1, most)
        self._sampler = sampler

    def __iter__(self) -> BatchIterator:
        return self.batches(prefetching=False)

    def __len__(self) -> int:
        rows = self.batch_size * self._sampler.group.size
        return -(-self._sampler._pass(hidden=True).stop // rows)

    def batches(self, *, prefetching: bool) -> BatchIterator:
        """Iterate; with `prefetching` the loader counts what its user receives."""
        return BatchIterator(self._sampler, True, self.batch_size, prefetching)
