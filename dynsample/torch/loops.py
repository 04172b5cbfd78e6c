"""A loop over torch's iterator that goes on after a batch which could not be made."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import GEN_CLOSED, getgeneratorstate
from typing import Any, NamedTuple

from dynsample.run.views import PassIterator


class Failed(NamedTuple):
    """In place of a batch that could not be made, and that is handed out all the same."""

    error: Exception


class Drawn:
    """Ids on their way to torch's iterator.

    It asks for some ahead when it begins, and then once for every batch that it gives away, also
    at the end of the pass. So `asked` tells whether an error took a batch with it.

    Parameters
    ----------
    ids : iterator of int64[B]
    epoch : int, optional
        Goes with the ids, to workers that may outlive it.
    """

    def __init__(self, ids: Iterator[object], epoch: int | None) -> None:
        self._ids, self._epoch = ids, epoch
        self.asked = self.batches = 0

    def __iter__(self) -> Drawn:
        return self

    def __next__(self) -> object:
        ids = next(self._ids, None)
        self.asked += 1
        if ids is None:
            raise StopIteration
        self.batches += 1
        return ids if self._epoch is None else (self._epoch, ids)


class Made:
    """Batches of torch's iterator, with `Failed` for those that are gone with an error."""

    def __init__(self, batches: Iterator[object], drawn: Drawn) -> None:
        self._batches, self._drawn, self._given = batches, drawn, 0

    def __iter__(self) -> Made:
        return self

    def __next__(self) -> object:
        asked = self._drawn.asked
        try:
            batch: object = next(self._batches)
        except StopIteration as error:
            if self._given == self._drawn.batches:
                raise
            batch = _stopped(error)
        except Exception as error:
            if self._drawn.asked == asked:  # a worker died, or did not come in time
                raise
            batch = Failed(error)
        self._given += 1
        return batch


def _stopped(error: StopIteration) -> Failed:
    """Return what a data set is told that ended the epoch in place of giving a sample."""
    wrong = RuntimeError("the data set or the collate function raised StopIteration")
    wrong.__cause__ = error
    return Failed(wrong)


class Loop(PassIterator[Any]):
    """What a user iterates: raises what `Failed` holds, and goes on with the next batch."""

    _broken = False

    def __next__(self) -> Any:
        try:
            batch = super().__next__()
        except StopIteration:
            if self._broken:
                raise RuntimeError(
                    "this iterator ended with an error: begin another one, which goes on behind "
                    "the last batch that was received"
                ) from None
            raise
        except BaseException:
            self._broken = getgeneratorstate(self._batches) == GEN_CLOSED
            raise
        if isinstance(batch, Failed):
            try:
                raise batch.error
            finally:
                del self, batch  # an error that is kept keeps no loop open
        return batch
