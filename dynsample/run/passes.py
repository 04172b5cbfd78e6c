"""The two passes over a plan: cursors, and the batches that this rank gets."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dynsample.plan.dealing import Steps
from dynsample.run.ledger import PADDED

if TYPE_CHECKING:
    from dynsample.sampler import Sampler

T = TypeVar("T")


class Batch(np.ndarray[Any, np.dtype[np.int64]]):
    """Ids of a batch, int64[B]; to iterate it gives Python's ints, as data sets expect them."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist()) if self.ndim == 1 else super().__iter__()


def as_batch(ids: NDArray[np.int64]) -> Batch:
    """View ids as a batch."""
    return ids.view(Batch)


def nobody() -> None:
    """Return the owner of a pass that no iterator has."""


@dataclass(eq=False)
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
    batch_size : int
        Of that iterator, on one rank.
    counted : bool
        Whether all that was drawn went through loaders which count what their users receive.
    begun : bool
        Whether an iterator has begun.
    put_at_end : bool
        Whether a load put the cursor where the pass ends.
    observed : int
        Observations of the log when the first iterator began.
    padded : int64[1] or None
        The last batch of this rank, when it is padded.
    owner : callable
        Gives the iterator that the pass belongs to, while that is alive.
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
    batch_size: int = 1
    counted: bool = True
    begun: bool = False
    put_at_end: bool = False
    observed: int = 0
    padded: NDArray[np.int64] | None = None
    owner: Callable[[], object] = field(default=nobody, repr=False)
    seconds: float = 0.0
    timed: int = 0
    _since: float = 0.0

    @property
    def used_up(self) -> bool:
        """Whether all of it was handed out; an empty pass, when an iterator has begun."""
        return self.received >= self.stop and (self.begun or self.put_at_end or self.received > 0)

    @property
    def running(self) -> bool:
        """Whether an iterator that is alive has not come to the end."""
        return self.owner() is not None and self.drawn < self.stop

    def rewind(self) -> None:
        """Begin an iterator at the cursor: what was prefetched and not received comes again."""
        self.drawn = self.start = self.received
        self._since = time.perf_counter()

    def receive(self, position: int, batch: T) -> T:
        """Hand a batch out: the users' loops have received what comes before `position`."""
        now, rows = time.perf_counter(), position - self.received
        moved = {
            "received": position,
            "drawn": max(self.drawn, position),
            "seconds": self.seconds + now - self._since,
            "timed": self.timed + rows,
            "_since": now,
        }
        # All at once and last: a batch whose way is interrupted before this was not received.
        return vars(self).update(moved) or batch


def steps_of(sampler: Sampler, batch_size: int | None = None) -> Steps:
    """How a pass is dealt; by default in batches of the sampler's size."""
    size = sampler.batch_size if batch_size is None else batch_size
    return Steps(size, sampler.group.rank, sampler.group.size)


def dealt(steps: Steps, start: int, stop: int) -> tuple[int, int, int]:
    """Return what a rank gets of a step: first position, the one after the last, and its ticket.

    Where fewer rows than ranks are left, a rank without one takes part with a padded one.
    """
    first, last = steps.block(start, stop)
    return (first, last, first) if first < last else (start, start + 1, PADDED)


class _Place:
    """Where an iterator is: its epoch, its pass, and how the pass is dealt."""

    def __init__(self, sampler: Sampler, hidden: bool, steps: Steps) -> None:
        epoch = sampler._planned()
        self.sampler, self.epoch, self.plan, self.steps = sampler, epoch, epoch.plan, steps
        self.cursor = cursor = epoch.passes[hidden]
        sampler._ring.drain(everything=True)  # what was observed before is in the log before
        cursor.rewind()
        epoch.ledger.issued[hidden].rewind(cursor.received)
        self.rows = self.plan.source(steps, cursor.received, cursor.stop, hidden=hidden)
        if not cursor.begun:
            cursor.begun, cursor.observed = True, len(epoch.ledger.log)
        cursor.batch_size, epoch.latest = steps.batch_size, cursor
        cursor.owner = weakref.ref(self)

    def check(self) -> None:
        """Raise when the sampler left the plan, or another iterator took over the pass."""
        epoch, cursor = self.sampler._epoch, self.cursor
        if epoch is None or epoch.passes[cursor.hidden] is not cursor:
            raise RuntimeError(
                f"epoch {self.plan.random.epoch} was left while it was being iterated: finish or "
                "drop the iterator before set_epoch or load"
            )
        if cursor.owner() is not self:
            raise RuntimeError(
                "another iterator went on with the same pass: finish or drop one of them first"
            )

    def draw(self, start: int, stop: int) -> Batch:
        """Return this rank's batch of the step [start, stop) and note it as issued."""
        cursor, ledger = self.cursor, self.epoch.ledger
        first, last, place = dealt(self.steps, start, stop)
        rows = self.rows(first, last)
        batch = as_batch(self.plan.ids(rows))
        ledger.issued[cursor.hidden].rewind(start)  # what an interrupted call has noted
        ledger.issue(hidden=cursor.hidden, step=start, stop=stop, first=place, rows=rows)
        if place == PADDED:
            cursor.padded = batch
        return batch


def _batches(place: _Place, prefetching: bool) -> Generator[Batch, None, None]:
    """Draw to the end of the pass; a generator, so that a second thread is refused."""
    cursor = place.cursor
    while True:
        place.check()
        start, stop = cursor.drawn, min(cursor.drawn + place.steps.rows, cursor.stop)
        if start >= stop:
            return
        batch = place.draw(start, stop)
        if prefetching:
            cursor.drawn = stop
            yield batch
        else:
            cursor.counted = False
            yield cursor.receive(stop, batch)


class BatchIterator:
    """Batches of ids of this rank, from the cursor on; also what a DataLoader iterates.

    A loader that draws ahead makes it with `prefetching`, calls `check` before every batch, and
    hands the batch out through `received`.
    """

    def __init__(self, sampler: Sampler, hidden: bool, batch_size: int, prefetching: bool) -> None:
        self._sampler, self._hidden, self._prefetching = sampler, hidden, prefetching
        self._steps = steps_of(sampler, batch_size)
        self._begin()

    def _begin(self) -> None:
        self._place = _Place(self._sampler, self._hidden, self._steps)
        self._batches = _batches(self._place, self._prefetching)

    def __iter__(self) -> BatchIterator:
        return self

    def __next__(self) -> Batch:
        cursor = self._place.cursor
        if getgeneratorstate(self._batches) == GEN_CLOSED and cursor.drawn < cursor.stop:
            self._batches = _batches(self._place, self._prefetching)  # it goes on after an error
        return next(self._batches)

    def check(self) -> None:
        """Raise when the sampler left the plan, or another iterator took over the pass."""
        self._place.check()

    def received(self, batch: T) -> T:
        """Hand out one step that was drawn before."""
        cursor = self._place.cursor
        return cursor.receive(min(cursor.received + self._steps.rows, cursor.stop), batch)

    def close(self) -> None:
        """Give the pass up, as a loop does that is left."""
        self._batches.close()
        cursor = self._place.cursor
        if cursor.owner() is self._place:
            cursor.owner = nobody

    def state_dict(self) -> dict[str, Any]:
        """State of the sampler, at the position of this iterator."""
        return self._sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the sampler, and with it this iterator, at a saved position."""
        self._sampler.load_state_dict(state)
        self._begin()
