"""FFCV's Loader on a file written from the tree, in both kinds of cache."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter
from images import ImageTree, read_ids
from PIL import Image

import dynsample as ds
from adapters import Batch, Opened
from dynsample.ffcv import Loader

VARIANTS: dict[str, dict[str, Any]] = {
    "mapped": {"os_cache": True},
    "paged": {"os_cache": False},
}
SLOW = ("paged",)  # compiles the same code as "mapped" does
PREFETCH = (1, 4)
FILES = False


class _Samples:
    def __init__(self, tree: ImageTree) -> None:
        self._tree = tree

    def __len__(self) -> int:
        return len(self._tree)

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        return Image.open(self._tree.paths[i]).convert("RGB"), int(self._tree.labels[i])


def write(tree: ImageTree, write_mode: str = "jpg", **options: Any) -> str:
    """Write the tree as one FFCV file beside it."""
    path = str(tree.root.with_suffix(".beton"))
    fields = {"image": RGBImageField(write_mode=write_mode), "label": IntField()}
    DatasetWriter(path, fields, num_workers=1, **options).from_indexed_dataset(_Samples(tree))
    return path


@cache
def _written(tree: ImageTree) -> str:
    path = tree.root.with_suffix(".beton")
    return str(path) if path.exists() else write(tree)  # by the process that launched this one


def _batch(batch: tuple[torch.Tensor, ...]) -> Batch:
    images, labels, index = batch
    return Batch(read_ids(images.numpy()), labels.numpy()[:, 0].copy(), index.numpy().copy())


def open_loader(
    tree: ImageTree, sampler: ds.Sampler, *, prefetch: int | None = None, **variant: Any
) -> Opened:
    """Open a Loader."""
    ahead = {} if prefetch is None else {"batches_ahead": prefetch}
    path = _written(tree)
    loader = Loader(path, sampler.batch_size, num_workers=2, sampler=sampler, **ahead, **variant)
    return Opened(loader, _batch)
