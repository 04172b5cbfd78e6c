"""What can be iterated of a run beside the epoch's own batches."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterator, Sized
from typing import Generic, TypeVar

import numpy as np

from dynsample.kernels.checks import MAX_SAMPLES, integer
from dynsample.run.batches import BatchIterator, refuse_sampler_slot
from dynsample.run.life import begin_pass, find_ranks, planned
from dynsample.run.passes import Batch, as_batch, dealt
from dynsample.run.run import Run

T = TypeVar("T")


class _View:
    """Samples of a run in batches of a size of their own.

    Parameters
    ----------
    run : Run
    batch_size : int, optional
        Rows of a batch on one rank; by default those of the sampler's batches.
    most : int
        What the loader can take.
    """

    _hidden = False  # whether the pass that repr speaks of is that over hidden samples

    def __init__(self, run: Run, batch_size: int | None = None, most: int = MAX_SAMPLES) -> None:
        self.batch_size = integer(
            run.config.batch_size if batch_size is None else batch_size, "batch_size", 1, most
        )
        self._run = run

    def __repr__(self) -> str:
        epoch = self._run.epoch
        where = "nothing planned yet" if epoch is None else epoch.where(hidden=self._hidden)
        return f"{type(self).__name__}(batch_size={self.batch_size}; {where})"


class HiddenView(_View):
    """The hidden samples of the epoch, to iterate after it; empty when no refresh is due."""

    _hidden = True

    def __iter__(self) -> BatchIterator:
        refuse_sampler_slot()
        return self.batches(prefetching=False)

    def __len__(self) -> int:
        rows = self.batch_size * self._run.group.size
        return -(-planned(self._run).passes[1].stop // rows)

    def batches(self, *, prefetching: bool) -> BatchIterator:
        """Iterate; with `prefetching` the loader counts what its user receives."""
        begin_pass(self._run, hidden=True)
        return BatchIterator(self._run, True, self.batch_size, prefetching)


class PassIterator(Generic[T]):
    """Batches that a loader makes of a pass, which knows how many there are.

    Parameters
    ----------
    batches : generator
    source : Sampler or a view of it
        Its length is that of the whole pass, wherever in it the batches begin.
    """

    def __init__(self, batches: Generator[T, None, None], source: Sized) -> None:
        self._batches, self._source = batches, source

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._source!r})"

    def __iter__(self) -> PassIterator[T]:
        return self

    def __next__(self) -> T:
        return next(self._batches)

    def __len__(self) -> int:
        return len(self._source)

    def close(self) -> None:
        """Give the pass up, as a loop does that is left."""
        self._batches.close()


class LookIterator:
    """Batches that are only looked at: no cursor moves, and nothing of them is to be observed."""

    def __init__(self, run: Run, batches: Iterator[Batch]) -> None:
        self._run, self._batches = run, batches
        run.looking = weakref.ref(self)

    def __repr__(self) -> str:
        return f"LookIterator({self._run.config.num_samples} samples; none is to be observed)"

    def __iter__(self) -> LookIterator:
        return self

    def __next__(self) -> Batch:
        try:
            return next(self._batches)
        except StopIteration:
            self.close()
            raise

    def check(self) -> None:
        """Do nothing: no other iterator can be in the way."""

    def received(self, batch: T) -> T:
        """Return the batch: nothing is counted."""
        return batch

    def close(self) -> None:
        """Let the sampler be observed again."""
        if self._run.looking is not None and self._run.looking() is self:
            self._run.looking = None


class AllView(_View):
    """Every id once, ascending, dealt over the ranks: to score or to evaluate by.

    The epoch is not touched, and `observe` is refused meanwhile.
    """

    def __iter__(self) -> LookIterator:
        refuse_sampler_slot()
        return self.batches(prefetching=False)

    def __len__(self) -> int:
        """Batches of this rank."""
        return sum(1 for _ in self._blocks())

    def _blocks(self) -> Iterator[tuple[int, int]]:
        rows, steps = self._run.table.num_samples, self._run.steps(self.batch_size)
        for start in range(0, rows, steps.rows):
            first, last = steps.block(start, min(start + steps.rows, rows))
            if first < last:  # none when fewer rows are left than there are ranks
                yield first, last

    def _batches(self) -> Iterator[Batch]:
        subset = self._run.config.subset
        for first, last in self._blocks():
            ids = np.arange(first, last) if subset is None else subset[first:last].copy()
            yield as_batch(ids)

    def batches(self, *, prefetching: bool) -> LookIterator:
        """Iterate; a loader, which draws ahead, closes the iterator when its user is through."""
        find_ranks(self._run)
        epoch = self._run.epoch
        if not prefetching and epoch is not None and any(each.running for each in epoch.passes):
            raise RuntimeError(
                "all() while another pass of this sampler is being iterated: finish or drop its "
                "iterator first"
            )
        return LookIterator(self._run, self._batches())


class PeekView:
    """The next `n` batches of the kept samples from the cursor on, which does not move.

    Parameters
    ----------
    run : Run
    n : int
    """

    def __init__(self, run: Run, n: int = 1) -> None:
        self._n = integer(n, "n", 1, MAX_SAMPLES)
        self._run, self.batch_size = run, run.config.batch_size

    def __iter__(self) -> LookIterator:
        return self.batches(prefetching=False)

    def __len__(self) -> int:
        return len(self._starts())

    def _starts(self) -> range:
        cursor = planned(self._run).passes[0]
        rows = self.batch_size * self._run.group.size
        return range(cursor.received, cursor.stop, rows)[: self._n]

    def _batches(self) -> Iterator[Batch]:
        epoch, steps = planned(self._run), self._run.steps()
        cursor = epoch.passes[0]
        starts = self._starts()
        rows = epoch.plan.source(steps, cursor.received, cursor.stop, hidden=False)
        for start in starts:
            first, last, _ = dealt(steps, start, min(start + steps.rows, cursor.stop))
            yield as_batch(epoch.plan.ids(rows(first, last)))

    def batches(self, *, prefetching: bool) -> LookIterator:
        """Iterate."""
        find_ranks(self._run)
        return LookIterator(self._run, self._batches())
