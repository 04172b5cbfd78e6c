"""The torch DataLoader that follows a sampler and returns the index with every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader as TorchDataLoader
from torch.utils.data import default_collate

from dynsample.loading import Following, Loops
from dynsample.payload.source import Source
from dynsample.replay import ReplayedCollate, ReplayedDataset
from dynsample.run.state import bring
from dynsample.sampler import Sampler

_OURS = ("batch_size", "shuffle", "batch_sampler", "drop_last", "generator")


class _IndexedDataset(torch.utils.data.Dataset[Any]):
    """Fetches a batch together with its ids."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, index: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
        ids = index.tolist()
        if hasattr(self.dataset, "__getitems__"):
            return self.dataset.__getitems__(ids), index
        return [self.dataset[i] for i in ids], index


class _IndexedCollate:
    """Collates as asked and puts the index last, or under "index" in a mapping."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, fetched: tuple[Any, NDArray[np.int64]]) -> Any:
        items, ids = fetched
        batch, index = self.collate(items), torch.from_numpy(ids)
        if isinstance(batch, Mapping):
            return {**batch, "index": index}
        if isinstance(batch, Sequence) and not isinstance(batch, str):
            return (*batch, index)
        return batch, index


class _Feed:
    """The batch sampler of the stock loader: what is being iterated of the sampler.

    With `dated` the epoch goes with the ids, to workers that may outlive it.
    """

    def __init__(self, sampler: Sampler, dated: bool) -> None:
        self.sampler, self.dated = sampler, dated
        self.ids: Any = None  # of the loop that is about to begin, which counts what it hands out

    def __iter__(self) -> Iterator[Any]:
        batches = self.ids
        if batches is None:
            raise RuntimeError(
                "another loader was made of the parts of a dynsample.torch.DataLoader, and would "
                "lose its place: with Accelerate leave the loader out of accelerator.prepare() and "
                "move batches to accelerator.device; with Lightning set "
                "Trainer(use_distributed_sampler=False)"
            )
        epoch = self.sampler.epoch
        return ((epoch, ids) for ids in batches) if self.dated else iter(batches)

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Call `Sampler.set_epoch`, where stock code looks for it."""
        self.sampler.set_epoch(epoch)


class DataLoader(Following, TorchDataLoader[Any]):
    """torch's DataLoader in the order of a `Sampler`: (images, labels, index).

    Takes torch's arguments, but for those that the sampler decides. Counts the batches that the
    loop received, so that the sampler's state is exact whatever the workers prefetch.

    Parameters
    ----------
    dataset : map-style dataset of `sampler.num_samples` items
        Its items are collated as usual; the index, int64[B], is added last to a tuple, and as
        "index" to a mapping. `__getitems__` is used where the dataset has it.
    sampler : Sampler
    payload : Store or Views, optional
        See `dynsample.payload`. Batches then are (images, labels, payload, index) with the images
        as the teacher saw them, mixed, and the rows of `Store.batch` as tensors. The data set
        gives tuples with the image first, and is asked for `dataset[View(i, crop, flip)]`; when it
        has a `fingerprint`, the store must have the same.
    """

    def __init__(
        self, dataset: Any, *, sampler: Sampler, payload: Source | None = None, **options: Any
    ) -> None:
        if not isinstance(sampler, Sampler):
            raise TypeError(
                f"sampler must be a dynsample.Sampler, got {type(sampler).__name__} (put there by "
                "Lightning? set Trainer(use_distributed_sampler=False))"
            )
        for name in _OURS:
            if name in options:
                raise TypeError(f"{name} is decided by the sampler: give it to Sampler, not here")
        if options.get("in_order") is False:
            raise ValueError("in_order must be True: an exact position needs batches in order")
        if len(dataset) != sampler.num_samples:
            raise ValueError(
                f"dataset has {len(dataset)} items, the sampler was made for {sampler.num_samples}"
            )
        if isinstance(fingerprint := getattr(dataset, "fingerprint", None), str):
            bring(sampler.run, lambda: fingerprint)
        self._feed = _Feed(sampler, dated=payload is not None)
        collate = options.pop("collate_fn", None) or default_collate
        parts: tuple[Any, Any] = _IndexedDataset(dataset), _IndexedCollate(collate)
        if payload is not None:
            parts = ReplayedDataset(dataset, payload), ReplayedCollate(collate)
        super().__init__(parts[0], batch_sampler=self._feed, collate_fn=parts[1], **options)

        self._loops = Loops("the same workers" if self.persistent_workers else None)

    def __iter__(self) -> Iterator[Any]:
        return self._loop(self._feed.sampler)

    def _followed(self, what: str) -> Sampler:
        return self._feed.sampler

    def _loop(self, source: Any) -> Iterator[Any]:
        return self._loops.run(source, self._begin)

    def _begin(self, source: Any) -> Any:
        feed = self._feed
        ids = feed.ids = source.batches(prefetching=True)
        try:
            return ids, super().__iter__(), _nothing
        finally:
            feed.ids = None

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
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * scale
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
