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

from dynsample.passes import HandOut, HiddenView
from dynsample.payload.source import Source
from dynsample.replay import ReplayedCollate, ReplayedDataset
from dynsample.sampler import Sampler

_OURS = ("batch_size", "shuffle", "batch_sampler", "drop_last", "generator")
_END = object()


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
    """The batch sampler of the stock loader: the pass that is being iterated.

    With `dated` the epoch goes with the ids, to workers that may outlive it.
    """

    def __init__(self, sampler: Sampler, dated: bool) -> None:
        self.sampler, self.dated = sampler, dated
        self.hidden: HiddenView | None = None
        self.counted = False  # the loader that iterates counts what its user receives

    def __iter__(self) -> Iterator[Any]:
        if not self.counted:
            raise RuntimeError(
                "another loader was made of the parts of a dynsample.torch.DataLoader, and would "
                "lose its place: with Accelerate leave the loader out of accelerator.prepare() and "
                "move batches to accelerator.device; with Lightning set "
                "Trainer(use_distributed_sampler=False)"
            )
        batches = self._pass.batches(prefetching=True)
        epoch = self.sampler.epoch
        return ((epoch, ids) for ids in batches) if self.dated else batches

    def __len__(self) -> int:
        return len(self._pass)

    @property
    def _pass(self) -> HiddenView | Sampler:
        return self.sampler if self.hidden is None else self.hidden  # an empty view is false


class DataLoader(TorchDataLoader[Any]):
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
        self._feed = _Feed(sampler, dated=payload is not None)
        collate = options.pop("collate_fn", None) or default_collate
        parts: tuple[Any, Any] = _IndexedDataset(dataset), _IndexedCollate(collate)
        if payload is not None:
            parts = ReplayedDataset(dataset, payload), ReplayedCollate(collate)
        super().__init__(parts[0], batch_sampler=self._feed, collate_fn=parts[1], **options)

    def __iter__(self) -> Iterator[Any]:
        return self._counted(None)

    def hidden(self, batch_size: int | None = None) -> Iterator[Any]:
        """Iterate the hidden samples of the epoch, as batches like those of the loader.

        Parameters
        ----------
        batch_size : int, optional
            By default the sampler's; a pass without gradients often affords more.
        """
        return self._counted(HiddenView(self._feed.sampler, batch_size))

    def _counted(self, hidden: HiddenView | None) -> Iterator[Any]:
        feed, samples = self._feed, self._feed.sampler if hidden is None else hidden
        feed.hidden, feed.counted = hidden, True
        try:
            batches = super().__iter__()
        finally:
            feed.hidden, feed.counted = None, False
        hand_out = HandOut(feed.sampler, samples)
        while True:
            hand_out.check()
            batch = next(batches, _END)
            if batch is _END:
                return
            hand_out.received()
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Position of the sampler: batches that your loop received, not those prefetched."""
        return self._feed.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a position that `state_dict` gave."""
        self._feed.sampler.load_state_dict(state)

    def __len__(self) -> int:
        """Batches of the epoch."""
        return len(self._feed.sampler)


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
