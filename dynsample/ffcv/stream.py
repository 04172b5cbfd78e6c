"""FFCV's epoch iterator, made safe to leave: no thread, buffer or error is lost."""

from __future__ import annotations

import queue
import time
import weakref
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numba
import numpy as np
from ffcv.loader.epoch_iterator import EpochIterator
from ffcv.memory_managers import ProcessCacheManager
from numpy.typing import NDArray

BATCH_LIMIT_S = 1800.0  # the first batch waits for compilation, on a busy machine
STOP_LIMIT_S = 300.0

_producers: weakref.WeakSet[Producer] = weakref.WeakSet()


class _Chunks:
    """Ready-made batches in the place of an order: what FFCV's `chunks(order, n)` slices."""

    def __init__(self, batches: Sequence[NDArray[np.uint64]], size: int) -> None:
        self._batches = batches
        self._size = size

    def __len__(self) -> int:
        return len(self._batches) * self._size

    def __getitem__(self, positions: slice) -> Any:
        return self._batches[positions.start // self._size]


class Producer(EpochIterator):
    """FFCV's thread that fills batches; hands its failure over, and ends when it is told to.

    Attributes
    ----------
    feed : queue of uint64[B] or None
        The batches to fill, and what comes after the last.
    """

    iter_ixes: Iterator[Any]

    def __init__(self, loader: Any, schedule: Sequence[NDArray[np.uint64]]) -> None:
        self.error: BaseException | None = None
        self.fname = loader.fname
        self.opened = False
        self.feed: queue.SimpleQueue[Any] = queue.SimpleQueue()
        _refuse_concurrent_workqueue(loader.num_workers)
        if schedules(loader):
            with open(loader.fname, "rb"):  # its threads would fail to, unheard
                pass
        super().__init__(loader, _Chunks(schedule, loader.batch_size))

    def start(self) -> None:
        """Start, when all is set up."""
        self.opened = True
        _producers.add(self)
        self.iter_ixes = self._fed()
        super().start()

    def _fed(self) -> Iterator[Any]:
        ended = self.terminate_event.is_set  # FFCV asks this only while the queue is full
        while (batch := self.feed.get()) is not None and not ended():
            yield batch

    def run(self) -> None:
        """Fill batches; without this a failure leaves the consumer waiting for ever."""
        try:
            super().run()
        except BaseException as error:  # handed over, whatever it is
            self.error = error
            self._put_end()

    def _put_end(self) -> None:
        while not self.terminate_event.is_set():
            try:
                self.output_queue.put(None, timeout=0.5)
                return
            except queue.Full:
                pass

    def take(self) -> Any:
        """Next batch; StopIteration when there is none."""
        filled = self.output_queue.not_empty
        with filled:
            if not filled.wait_for(lambda: self.output_queue.queue, BATCH_LIMIT_S):
                raise RuntimeError(f"no batch of {self.fname} came in {BATCH_LIMIT_S:g} s")
        return super().__next__()

    def close(self) -> None:
        """End the thread and give its memory back."""
        if not self.opened:
            return
        self.terminate_event.set()
        self.feed.put(None)
        deadline = time.monotonic() + STOP_LIMIT_S
        while self.is_alive():
            _drain(self.output_queue)  # wakes a producer that waits for room
            self.join(0.05)
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"the pipeline of {self.fname} did not end in {STOP_LIMIT_S:g} s"
                )
        _drain(self.output_queue)
        self.opened = False
        self.memory_context.__exit__(None, None, None)
        for reader in getattr(getattr(self.memory_context, "executor", None), "threads", ()):
            reader.join(STOP_LIMIT_S)


class Stream:
    """Batches as FFCV makes them; the thread ends with the batches, on `close`, or with this.

    Parameters
    ----------
    loader : Loader of FFCV
    batches : iterator of uint64[B]
        Asked for as many as FFCV makes ahead, in the thread of whoever iterates; for all at once
        where FFCV plans in which order it reads the pages of an epoch.
    """

    def __init__(self, loader: Any, batches: Iterator[NDArray[np.uint64]]) -> None:
        self._batches = batches
        # One more than the queue has room for is being made, and one is with the user.
        ahead = None if schedules(loader) else loader.batches_ahead + 2
        first = list(islice(batches, ahead))
        self._left = 0  # batches that the thread has been given and the user not received
        self._producer = Producer(loader, first if ahead is None else ()) if first else None
        if self._producer:
            # Also at exit, while the thread can still be joined.
            self._end = weakref.finalize(self, self._producer.close)
            for batch in first:
                self._give(batch)

    def _give(self, batch: NDArray[np.uint64] | None) -> None:
        assert self._producer is not None
        self._producer.feed.put(batch)
        self._left += batch is not None

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        producer = self._producer
        if producer is None:
            raise StopIteration
        self._give(next(self._batches, None))
        try:
            batch = producer.take()
        except BaseException as error:
            self.close()
            if producer.error is not None:
                raise producer.error from None
            if self._left and isinstance(error, StopIteration):
                raise RuntimeError(
                    f"the pipeline of {producer.fname} ended {self._left} batches early"
                ) from None
            raise
        self._left -= 1
        return batch

    def close(self) -> None:
        """End the thread; iterating then gives no more."""
        if self._producer:
            self._producer = None
            self._end()


def schedules(loader: Any) -> bool:
    """Whether FFCV needs to know all batches of an epoch before the first."""
    return isinstance(loader.memory_manager, ProcessCacheManager)


def _drain(batches: queue.Queue[Any]) -> None:
    try:
        while True:
            batches.get_nowait()
    except queue.Empty:
        pass


def _refuse_concurrent_workqueue(num_workers: int) -> None:
    """Raise where numba would abort the process."""
    concurrent = num_workers > 1 and any(producer.is_alive() for producer in _producers)
    if concurrent and numba.threading_layer() == "workqueue":
        raise RuntimeError(
            "two FFCV iterators are alive, and numba's threading layer here is workqueue, which "
            "aborts the process when two use it: pip install tbb (or let numba find OpenMP), "
            "close the other iterator, or use num_workers=1"
        )
