"""The order of an epoch: which member stands at which position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample._core import Stream
from dynsample.kernels.checks import MAX_SAMPLES, integer
from dynsample.kernels.convert import fingerprint
from dynsample.kernels.numbers import integers
from dynsample.plan.selection import EpochRandom

Slice = Callable[[int, int], NDArray[np.int64]]
OrderName: TypeAlias = Literal["random", "sequential"]


class Order(Protocol):
    """An arrangement of members: a pure function of (members, random, stream)."""

    def arrange(self, members: NDArray[np.uint32], random: EpochRandom, stream: int) -> Slice:
        """Return the function (start, stop) -> rows at the positions [start, stop)."""
        ...

    def positions(
        self, ranks: NDArray[np.int64], count: int, random: EpochRandom, stream: int
    ) -> NDArray[np.int64]:
        """Positions of members, by their ranks among `count`: the inverse of the arrangement."""
        ...

    def fingerprint(self) -> dict[str, object]:
        """Identity of the order, for resume checks."""
        ...


@dataclass(frozen=True)
class RandomOrder:
    """A keyed bijection of the members' ranks; any slice is computed without the rest."""

    def arrange(self, members: NDArray[np.uint32], random: EpochRandom, stream: int) -> Slice:
        """Return the function (start, stop) -> rows at the positions [start, stop)."""
        return partial(_core.order_slice, members, random.seed, random.epoch, stream)

    def positions(
        self, ranks: NDArray[np.int64], count: int, random: EpochRandom, stream: int
    ) -> NDArray[np.int64]:
        """Positions of members, by their ranks among `count`: the inverse of the arrangement."""
        return _core.unpermute(count, ranks, random.seed, random.epoch, stream)

    def fingerprint(self) -> dict[str, object]:
        """Identity of the order, for resume checks."""
        return {"name": "random"}


@dataclass(frozen=True)
class SequentialOrder:
    """Members by ascending id."""

    def arrange(self, members: NDArray[np.uint32], random: EpochRandom, stream: int) -> Slice:
        """Return the function (start, stop) -> rows at the positions [start, stop)."""
        return lambda start, stop: members[start:stop].astype(np.int64)

    def positions(
        self, ranks: NDArray[np.int64], count: int, random: EpochRandom, stream: int
    ) -> NDArray[np.int64]:
        """Positions of members, by their ranks among `count`: these ranks."""
        return ranks

    def fingerprint(self) -> dict[str, object]:
        """Identity of the order, for resume checks."""
        return {"name": "sequential"}


class PageLocal:
    """Shuffle pages, then the samples inside every window of pages.

    A reader that keeps `window` pages in memory then reads each page once an epoch, as with FFCV's
    QUASI_RANDOM. The whole order is computed when the epoch is planned.

    Parameters
    ----------
    page_of : int[N]
        Page of every sample, numbered from 0.
    window : int
        Pages that are shuffled together.

    Examples
    --------
    >>> pages = np.arange(8) // 2
    >>> order = ds.Sampler(8, order=ds.PageLocal(pages, window=1)).plan.order
    >>> pages[order].tolist()
    [2, 2, 0, 0, 1, 1, 3, 3]
    """

    def __init__(self, page_of: NDArray[np.integer], window: int) -> None:
        pages = integers(page_of, "page_of")
        if len(pages) and int(pages.min()) < 0:
            raise ValueError(f"page_of must not be negative, got {int(pages.min())}")
        self.page_of = pages.astype(np.int64)
        self.window = integer(window, "window", 1, MAX_SAMPLES)

    def arrange(self, members: NDArray[np.uint32], random: EpochRandom, stream: int) -> Slice:
        """Return the function (start, stop) -> rows at the positions [start, stop)."""
        if len(members) and int(members[-1]) >= len(self.page_of):
            raise ValueError(
                f"page_of must have an entry for every sample: it has {len(self.page_of)}, the "
                f"epoch holds sample {int(members[-1])}"
            )
        seed, epoch = random.seed, random.epoch
        pages = self.page_of[members]
        num_pages = int(pages.max()) + 1 if len(pages) else 0
        rank = _core.unpermute(num_pages, np.arange(num_pages), seed, epoch, Stream.PAGES)
        window = rank[pages] // self.window
        stops = np.cumsum(np.bincount(window))
        if Stream.PAGE_WINDOWS + 2 * len(stops) > 2**31:
            raise ValueError(f"window must be larger: {len(stops)} windows are too many")
        chunks = [
            _core.order_slice(
                part, seed, epoch, Stream.PAGE_WINDOWS + 2 * number + stream, 0, len(part)
            )
            for number, part in enumerate(
                np.split(members[np.argsort(window, kind="stable")], stops[:-1])
            )
        ]
        order = np.concatenate(chunks) if chunks else np.empty(0, np.int64)
        return lambda start, stop: order[start:stop].copy()

    def positions(
        self, ranks: NDArray[np.int64], count: int, random: EpochRandom, stream: int
    ) -> NDArray[np.int64]:
        """Refuse: a window's pages are spread over the ranks that own samples."""
        raise ValueError(
            'order must be "random" or "sequential" with placement="sharded", got a PageLocal'
        )

    def fingerprint(self) -> dict[str, object]:
        """Identity of the order, for resume checks."""
        return {"name": "page_local", "window": self.window, "pages": fingerprint(self.page_of)}


def as_order(order: str | Order) -> Order:
    """Resolve the `order` argument of the sampler."""
    if order == "random":
        return RandomOrder()
    if order == "sequential":
        return SequentialOrder()
    if isinstance(order, (RandomOrder, SequentialOrder, PageLocal)):
        return order
    raise ValueError(f'order must be "random", "sequential" or a PageLocal, got {order!r}')
