"""The torch DataLoader that follows a sampler and returns the index with every batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import torch
from torch.utils.data import DataLoader as TorchDataLoader
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from dynsample.loading import Following, Loops, checked_sampler
from dynsample.payload.source import Source
from dynsample.replay import ReplayedCollate, ReplayedDataset
from dynsample.run.state import bring
from dynsample.sampler import Sampler
from dynsample.torch.batches import IndexedCollate, IndexedDataset
from dynsample.torch.index_sampler import IndexSampler as IndexSampler
from dynsample.torch.loops import Drawn, Loop, Made

if TYPE_CHECKING:
    from dynsample.loading import Opened
    from dynsample.loading import Source as Looped

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_OURS = ("batch_size", "drop_last")  # arguments of Sampler
_DECIDED = ("shuffle", "batch_sampler")


class MapStyle(Protocol[T_co]):
    """A data set that can be asked for the samples which a sampler chooses."""

    def __getitem__(self, index: int, /) -> T_co:
        """Return a sample."""

    def __len__(self) -> int:
        """Return the number of samples."""


class _Feed:
    """The batch sampler of the stock loader: what is being iterated of the sampler."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.ids: Drawn | None = None  # of the loop that is about to begin

    def __iter__(self) -> Iterator[list[int]]:
        if self.ids is None:
            raise RuntimeError(
                "another loader was made of the parts of a dynsample.torch.DataLoader, and would "
                "lose its place: with Accelerate leave the loader out of accelerator.prepare() and "
                "move batches to accelerator.device; with Lightning set "
                "Trainer(use_distributed_sampler=False)"
            )
        return self.ids  # type: ignore[return-value]

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Call `Sampler.set_epoch`, where stock code looks for it."""
        self.sampler.set_epoch(epoch)


class _WorkerStart:
    """Shows a worker the data set that the user gave, and calls the user's `worker_init_fn`."""

    def __init__(self, dataset: Dataset[object], init: Callable[[int], None] | None) -> None:
        self.dataset, self.init = dataset, init

    def __call__(self, worker: int) -> None:
        object.__setattr__(get_worker_info(), "dataset", self.dataset)  # torch lets nobody set it
        if self.init is not None:
            self.init(worker)


class DataLoader(Following, TorchDataLoader[T]):
    """torch's DataLoader in the order of a `Sampler`, with the index of every sample.

    Takes torch's arguments, but for those that the sampler decides. Counts the batches that the
    loop received, so that the sampler's state is exact whatever the workers prefetch. A batch that
    could not be made raises in `next()`, as in torch, and counts as received; the loop may go on.

    Parameters
    ----------
    dataset : map-style dataset of `sampler.num_samples` items
        Its items are collated as usual. `__getitems__` is used where the data set has it.
    sampler : Sampler
    payload : Store or Views, optional
        See `dynsample.payload`. Batches then are (images, labels, payload, index) with the images
        as the teacher saw them, mixed, and the rows of `Store.batch` as tensors. The data set
        gives tuples with the image first, and is asked for `dataset[View(i, crop, flip)]`; when it
        has a `fingerprint`, the store must have the same.
    index_name : str
        Key of the index in batches that are mappings.
    **options
        Of torch's DataLoader. `generator` seeds the workers, and never decides the order.

    Attributes
    ----------
    dataset, collate_fn, generator, ...
        As they were given.
    sampler : Sampler
    batch_size : int
    drop_last : bool
        The sampler's.
    batch_sampler
        Has `set_epoch`, `sampler` and a length; to be iterated by this loader alone.

    Notes
    -----
    Where the index, int64[B], is depends on what the collate function returns:

    * A mapping (dict, OrderedDict, BatchEncoding, TensorDict): under `index_name`, in a copy of
      its class. That the batch has this key already is an error.
    * A tuple or list of fields: last, in a copy of its class. Fields are tensors, arrays, tuples,
      lists, and whatever stands beside one of them, as the lambda of a mixup does. Mappings are
      fields in a tuple, and in a list that torch's `default_collate` made of tuples.
    * All else: `(batch, index)`. That is a tensor; a namedtuple, which cannot have one field more;
      an object; what is not made of fields: strings, numbers, mappings in a list, or the samples
      themselves, as with `collate_fn=lambda samples: samples`.

    Examples
    --------
    >>> dataset = torch.utils.data.TensorDataset(torch.arange(4) * 10)
    >>> loader = DataLoader(dataset, sampler=ds.Sampler(4, batch_size=2))
    >>> [bool((images == index * 10).all()) for images, index in loader]
    [True, True]
    """

    def __init__(
        self,
        dataset: Dataset[T] | MapStyle[T],
        *,
        sampler: Sampler,
        payload: Source | None = None,
        index_name: str = "index",
        **options: Any,
    ) -> None:
        cure = " (put there by Lightning? set Trainer(use_distributed_sampler=False))"
        checked_sampler(sampler, cure).run.check_deals()
        for name in _OURS:
            if name in options:
                raise TypeError(
                    f"{name} is decided by the sampler: leave it out here, and make "
                    f"Sampler(..., {name}={options[name]!r})"
                )
        for name in _DECIDED:
            if name in options:
                raise TypeError(f"{name} is decided by the sampler: leave it out")
        if options.get("in_order") is False:
            raise ValueError("in_order must be True: an exact position needs batches in order")
        if not isinstance(index_name, str):
            raise TypeError(f"index_name must be a str, got {type(index_name).__name__}")
        if isinstance(dataset, IterableDataset):
            raise ValueError(
                f"dataset must be map-style, got the iterable-style {type(dataset).__name__}: it "
                "cannot be asked for the samples that a sampler chooses"
            )
        samples = cast("Dataset[T]", dataset)  # which is what torch asks for, and needs less
        if (items := len(cast("MapStyle[T]", dataset))) != sampler.num_samples:
            chosen = sampler.subset is not None and items == len(sampler.subset)
            cure = ": give it whole, as subset= chooses among its ids" if chosen else ""
            raise ValueError(
                f"dataset has {items} items, the sampler was made for {sampler.num_samples}{cure}"
            )
        if isinstance(fingerprint := getattr(dataset, "fingerprint", None), str):
            bring(sampler.run, lambda: fingerprint)
        self._index_name, self._payload = index_name, payload
        self._fetched: IndexedDataset | ReplayedDataset = IndexedDataset(samples)
        if payload is not None:
            self._fetched = ReplayedDataset(dataset, payload)
        self._feed = _Feed(sampler)
        super().__init__(samples, batch_sampler=self._feed, **options)
        # What torch sets with a batch sampler says nothing, and it lets nobody set it later.
        self.__dict__.update(
            sampler=sampler, batch_size=sampler.batch_size, drop_last=sampler.drop_last
        )
        self._loops = Loops("the same workers" if self.persistent_workers else None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.dataset).__name__}, {self._feed.sampler!r})"

    def __iter__(self) -> Loop:
        return self._loop(self._feed.sampler)

    def _followed(self, what: str) -> Sampler:
        return self._feed.sampler

    def _loop(self, source: Looped) -> Loop:
        return Loop(self._loops.run(source, self._begin), source)

    def _begin(self, source: Looped) -> Opened:
        feed = self._feed
        ids = source.batches(prefetching=True)
        dated = self._payload is not None
        drawn = feed.ids = Drawn(ids, feed.sampler.epoch if dated else None)
        try:
            return ids, Made(super().__iter__(), drawn), _nothing
        finally:
            feed.ids = None

    def _get_iterator(self) -> Iterator[object]:
        """Make torch's iterator of a loader like this one, whose parts pass the index on."""
        wired = copy.copy(self)
        wired.__dict__.update(
            dataset=self._fetched,
            collate_fn=self._joined(self.collate_fn),
            worker_init_fn=_WorkerStart(self.dataset, self.worker_init_fn),
        )
        made: Iterator[object] = TorchDataLoader._get_iterator(wired)
        return made

    def _joined(self, collate: Callable[..., object]) -> Callable[..., object]:
        indexed = self._payload is None
        return IndexedCollate(collate, self._index_name) if indexed else ReplayedCollate(collate)

    def __len__(self) -> int:
        """Batches of the epoch."""
        return len(self._feed.sampler)


def _nothing() -> None:
    """End the making of batches: workers end with the iterator of the stock loader."""


@contextmanager
def scaled_lr(optimizer: torch.optim.Optimizer, scale: float) -> Iterator[None]:
    """Multiply the learning rate of every parameter group by `scale` inside the block.

    Schedulers never see it, so any scheduler works: `with scaled_lr(optimizer, sampler.lr_scale):
    optimizer.step()`.

    Examples
    --------
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> with scaled_lr(optimizer, 2.0):
    ...     optimizer.param_groups[0]["lr"]
    0.2
    >>> optimizer.param_groups[0]["lr"]
    0.1
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * scale
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
