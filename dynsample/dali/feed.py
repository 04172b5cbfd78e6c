"""What a pipeline asks for ids: the source of its external input."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvidia.dali import Pipeline

from dynsample.dali.answers import NOT_RUN, answer, refuse_debug
from dynsample.files import Samples
from dynsample.sampler import Sampler

Ids = NDArray[np.int64]
_feeds: weakref.WeakKeyDictionary[Pipeline, Feed] = weakref.WeakKeyDictionary()


class Feed:
    """Gives one pipeline the batches of one pass after the other.

    A pipeline asks ahead, by its prefetch depth. It is told that the pass is over until the next
    one is opened, so nothing of an epoch that is not planned can be drawn.

    Attributes
    ----------
    in_flight : deque of int64[B]
        Batches that the pipeline took and the user did not receive yet.
    error : Exception or None
        What went wrong in asking the sampler, to be raised when the batches before it are used.
    """

    def __init__(
        self,
        sampler: Sampler,
        samples: Samples,
        name: str | None,
        inputs: Callable[[Ids], Any],
        partners: Callable[[Ids], Ids] | None = None,
    ) -> None:
        self.sampler, self.samples, self.name = sampler, samples, name
        self._partners = partners
        self.in_flight: deque[Ids] = deque()
        self.error: Exception | None = None
        self._inputs = inputs
        self._batches: Iterator[Ids] | None = None  # no pass was opened

    def read_ids(self) -> Ids:
        """Return the samples that the pipeline reads for the batches in flight."""
        ids = np.unique(np.concatenate([*self.in_flight, np.empty(0, np.int64)]))
        return ids if self._partners is None else np.union1d(ids, self._partners(ids))

    def open(self, batches: Iterator[Ids]) -> None:
        """Feed these from now on."""
        self._batches, self.error = batches, None
        self.in_flight.clear()

    def close(self) -> None:
        """Feed nothing more."""
        self._batches = iter(())

    def __call__(self, _: int) -> Any:
        """Return the next batch; DALI takes StopIteration for the end of its epoch."""
        # DALI passes its own count of batches, without which it would doubt its checkpoints.
        if self._batches is None:
            raise RuntimeError(NOT_RUN)
        ids = next(self._batches)
        try:
            inputs = self._inputs(ids)
        except Exception as error:
            self.error = error
            raise StopIteration from error
        self.in_flight.append(ids)
        return inputs


def attach(pipeline: Pipeline, feed: Feed) -> None:
    """Note that `feed` is the source of `pipeline`."""
    if pipeline in _feeds:
        raise ValueError("a pipeline can have one reader of dynsample.dali, got a second one")
    answer(pipeline, feed.sampler, feed.name)
    _feeds[pipeline] = feed


def feed_of(pipeline: Pipeline, name: str) -> Feed:
    """Feed of a pipeline that was given as argument `name`."""
    refuse_debug(pipeline)
    feed = _feeds.get(pipeline)
    if feed is None:
        raise ValueError(
            f"{name} must read with dynsample.dali.readers, and has no reader of that kind"
        )
    return feed


def padded_paths(samples: Samples, ids: Ids) -> NDArray[np.uint8]:
    """Paths of `ids` as rows, filled up with NUL: uint8[B, longest]."""
    starts, stops = samples.starts[ids], samples.starts[ids + 1]
    columns = np.arange((stops - starts).max())
    positions = starts[:, None] + columns
    inside = positions < stops[:, None]
    return np.where(inside, samples.paths[np.where(inside, positions, 0)], np.uint8(0))
