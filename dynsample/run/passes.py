"""The two passes over a plan: cursors, and the batches that this rank gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dynsample.plan.dealing import Steps
from dynsample.run.ledger import PADDED

T = TypeVar("T")


class Batch(np.ndarray[Any, np.dtype[np.int64]]):
    """Ids of a batch, int64[B]; to iterate it gives Python's ints, as data sets expect them."""

    def __iter__(self) -> Iterator[int]:  # type: ignore[override]  # of one dimension
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
        Positions handed to whatever iterates; of `left` where others hand the plan out.
    received : int
        Positions the users' loops received: the cursor. Behind `drawn` by what a loader prefetches.
    start : int
        Cursor at which the last iterator began.
    batch_size : int
        Rows of a batch of that iterator, on one rank.
    counted : bool
        Whether all that was drawn went through loaders which count what their users receive.
    begun : bool
        Whether an iterator has begun.
    put_at_end : bool
        Whether a load put the cursor where the pass ends.
    anew : bool
        Whether the next iterator starts at 0 unless something was observed: the one before was
        given the state of another epoch that was finished. torchdata's loader drops an iterator
        with a state of a loop that had ended for another one, after its workers drew from it.
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
    left : int64[M] or range
        Places that the last iterator gives, where others hand the plan out.
    used : bool[T] or None
        What that leaves out; see `Epoch.used`.
    earlier : int64[K]
        Places that the iterators before it gave.
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
    anew: bool = False
    observed: int = 0
    padded: NDArray[np.int64] | None = None
    owner: Callable[[], object] = field(default=nobody, repr=False)
    seconds: float = 0.0
    timed: int = 0
    left: NDArray[np.int64] | range = range(0)
    used: NDArray[np.bool_] | None = None
    earlier: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _since: float = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "owner": nobody}  # no iterator goes along

    @property
    def used_up(self) -> bool:
        """Whether all of it was handed out; an empty pass, when an iterator has begun."""
        return self.received >= self.stop and (self.begun or self.put_at_end or self.received > 0)

    def handed_places(self) -> NDArray[np.int64]:
        """Return the places that iterators gave, where others hand the plan out."""
        here = np.asarray(self.left[: self.drawn], np.int64)
        return np.union1d(self.earlier, here) if len(self.earlier) else here

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


def check_epoch(passes: tuple[Pass, Pass] | None, cursor: Pass, number: int) -> None:
    """Raise when a run left the epoch of an iterator; arguments as in `check_turn`."""
    if passes is None or passes[cursor.hidden] is not cursor:
        raise RuntimeError(
            f"epoch {number} was left while it was being iterated: finish or drop the iterator "
            "before set_epoch or load"
        )


def check_turn(passes: tuple[Pass, Pass] | None, cursor: Pass, number: int, owner: object) -> None:
    """Raise when a run left the epoch of an iterator, or another one took over its pass.

    Parameters
    ----------
    passes : (Pass, Pass) or None
        Those of the run now.
    cursor : Pass
        That of the iterator.
    number : int
        Its epoch.
    owner : object
        Itself.
    """
    check_epoch(passes, cursor, number)
    if cursor.owner() is not owner:
        raise RuntimeError(
            "another iterator went on with the same pass: finish or drop one of them first"
        )


def dealt(steps: Steps, start: int, stop: int) -> tuple[int, int, int]:
    """Return what a rank gets of a step: first position, the one after the last, and its ticket.

    Where fewer rows than ranks are left, a rank without one takes part with a padded one.
    """
    first, last = steps.block(start, stop)
    return (first, last, first) if first < last else (start, start + 1, PADDED)
