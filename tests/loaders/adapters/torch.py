"""The torch DataLoader, in every way of running it."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from images import ImageTree, read_ids
from PIL import Image

import dynsample as ds
from adapters import Batch, Opened
from dynsample.run.views import HiddenView
from dynsample.torch import DataLoader

VARIANTS: dict[str, dict[str, Any]] = {
    "no workers": {"num_workers": 0},
    "forked": {"num_workers": 2, "multiprocessing_context": "fork"},
    "persistent": {
        "num_workers": 2,
        "persistent_workers": True,
        "multiprocessing_context": "fork",
    },
    "spawned": {
        "num_workers": 1,
        "persistent_workers": True,
        "multiprocessing_context": "spawn",
    },
    "pinned": {
        "num_workers": 1,
        "pin_memory": True,
        "persistent_workers": True,
        "multiprocessing_context": "fork",
    },
}
if importlib.util.find_spec("torchdata"):
    VARIANTS["torchdata"] = {"stateful": True}
STOCK = ("torchdata",)
SLOW = ("spawned",)  # its workers import everything
PREFETCH = (1, 4)
FILES = GOES_ON = True


class ImageFolder(torch.utils.data.Dataset[Any]):
    """Decodes the files of a tree; says which file could not be read."""

    def __init__(self, tree: ImageTree) -> None:
        self.paths, self.labels = tree.paths, tree.labels.tolist()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        try:
            with Image.open(self.paths[i]) as image:
                pixels = np.array(image)
        except OSError as error:
            raise OSError(f"cannot read {self.paths[i]}: {error}") from None
        return torch.from_numpy(pixels), self.labels[i]


class WithIndex(ImageFolder):
    """What a stock loader needs of a data set."""

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int, int]:  # type: ignore[override]
        return (*super().__getitem__(i), int(i))


class Stateful:
    """torchdata's loader as it is, with the sampler as its batch sampler."""

    def __init__(self, tree: ImageTree, sampler: ds.Sampler) -> None:
        self._dataset, self._sampler = WithIndex(tree), sampler
        self._loader = self._over(sampler)

    def _over(self, batches: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchdata uses what torch deprecates
            from torchdata.stateful_dataloader import StatefulDataLoader

            return StatefulDataLoader(self._dataset, batch_sampler=batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._loader)

    def __len__(self) -> int:
        return len(self._loader)

    def hidden(self, batch_size: int | None = None) -> Iterator[Any]:
        return iter(self._over(HiddenView(self._sampler.run, batch_size)))

    def state_dict(self) -> dict[str, Any]:
        return self._sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sampler.load_state_dict(state)


def _batch(batch: list[torch.Tensor]) -> Batch:
    images, labels, index = batch
    return Batch(read_ids(images.numpy()), labels.numpy().copy(), index.numpy().copy())


def open_loader(
    tree: ImageTree,
    sampler: ds.Sampler,
    *,
    prefetch: int | None = None,
    stateful: bool = False,
    **variant: Any,
) -> Opened:
    """Open a DataLoader; a prefetch depth needs workers, and gets one where there are none."""
    if stateful:
        return Opened(Stateful(tree, sampler), _batch)
    if prefetch is not None:
        workers = max(variant["num_workers"], 1)
        variant = {**variant, "num_workers": workers, "prefetch_factor": prefetch}
    return Opened(DataLoader(ImageFolder(tree), sampler=sampler, **variant), _batch)
