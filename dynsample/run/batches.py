"""Batches of ids, as an iterator over a pass draws them and a loader hands them out."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Generator, Mapping
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TypeVar

from dynsample.plan.dealing import Steps
from dynsample.run import position
from dynsample.run.ledger import PADDED
from dynsample.run.life import planned
from dynsample.run.passes import Batch, as_batch, check_turn, dealt, nobody
from dynsample.run.run import Run

T = TypeVar("T")

# Where torch and torchdata have the BatchSampler that makes batches of what a sampler gives.
_COLLECTORS = ("torch.utils.data.sampler", "torchdata.stateful_dataloader.sampler")


def refuse_sampler_slot() -> None:
    """Raise when the caller's caller is a stock BatchSampler: it would make batches of batches.

    A DataLoader says nothing to what it is given as `sampler=`, so that only who iterates tells.
    """
    if sys._getframe(2).f_globals.get("__name__") in _COLLECTORS:
        raise TypeError(
            "a dynsample.Sampler gives batches: give it to torch's DataLoader as batch_sampler=, "
            "not as sampler=, or take dynsample.torch.DataLoader(dataset, sampler=sampler)"
        )


class _Place:
    """Where an iterator is: its epoch, its pass, and how the pass is dealt."""

    def __init__(self, run: Run, hidden: bool, steps: Steps) -> None:
        epoch = planned(run)
        self.run, self.epoch, self.plan, self.steps = run, epoch, epoch.plan, steps
        self.cursor = cursor = epoch.passes[hidden]
        # What was observed before is in the log before.
        run.observations.ring.drain(everything=True)
        cursor.rewind()
        epoch.ledger.issued[hidden].rewind(cursor.received)
        self.rows = self.plan.source(steps, cursor.received, cursor.stop, hidden=hidden)
        if not cursor.begun:
            cursor.begun, cursor.observed = True, len(epoch.ledger.log)
        cursor.batch_size, epoch.latest = steps.batch_size, cursor
        cursor.owner = weakref.ref(self)

    def check(self) -> None:
        """Raise when the run left the plan, or another iterator took over the pass."""
        epoch = self.run.epoch
        passes = None if epoch is None else epoch.passes
        check_turn(passes, self.cursor, self.plan.random.epoch, self)

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

    def __init__(self, run: Run, hidden: bool, batch_size: int, prefetching: bool) -> None:
        self._run, self._hidden, self._prefetching = run, hidden, prefetching
        self._steps = run.steps(batch_size)
        self._begin()

    def _begin(self) -> None:
        self._place = _Place(self._run, self._hidden, self._steps)
        self._batches = _batches(self._place, self._prefetching)

    def __repr__(self) -> str:
        which = "hidden" if self._hidden else "kept"
        cursor = self._place.cursor
        return (
            f"BatchIterator({which} samples of epoch {self._place.epoch.number}, "
            f"{cursor.received} of {cursor.stop} handed out)"
        )

    def __iter__(self) -> BatchIterator:
        return self

    def __next__(self) -> Batch:
        cursor = self._place.cursor
        if getgeneratorstate(self._batches) == GEN_CLOSED and cursor.drawn < cursor.stop:
            self._batches = _batches(self._place, self._prefetching)  # it goes on after an error
        return next(self._batches)

    def check(self) -> None:
        """Raise when the run left the plan, or another iterator took over the pass."""
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

    def state_dict(self) -> dict[str, object]:
        """State of the sampler, at the position of this iterator."""
        return position.state_dict(self._run)

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Put the sampler, and with it this iterator, at a saved position."""
        position.go_to_state(self._run, state)
        self._begin()
        finished = state["positions"] == state["stop"]
        self._place.cursor.anew = finished and state["epoch"] != self._place.epoch.number
