"""FFCV's own Loader beside ours, which plans, returns the index and takes observations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import IntDecoder, RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader as StockLoader
from ffcv.transforms import RandomHorizontalFlip, ToTensor, ToTorchImage
from ffcv.traversal_order import Random
from ffcv.writer import DatasetWriter
from PIL import Image

import dynsample as ds
from dynsample.ffcv import Loader, OrderOption
from dynsample.table.columns import Last
from loaders import CLASSES, Boundary, Case, Epochs, write_images

BATCH, WORKERS, BOUNDARY_BATCH = 64, 2, 256


class Images:
    """What FFCV's writer reads."""

    def __init__(self, root: Path) -> None:
        self.paths = sorted(root.rglob("*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        return np.asarray(Image.open(self.paths[i])), i % CLASSES


def write(folder: Path, images: int) -> Path:
    """Write the JPEGs, as they come from a first decoding, into one file."""
    path = folder / f"images-{images}.beton"
    fields = {"image": RGBImageField(write_mode="jpg", jpeg_quality=83), "label": IntField()}
    dataset = Images(write_images(folder, images))
    DatasetWriter(str(path), fields, num_workers=1).from_indexed_dataset(dataset)
    return path


def options() -> dict[str, Any]:
    """Give arguments of both; FFCV changes the lists of a pipeline that it is given."""
    decode = [RandomResizedCropRGBImageDecoder((224, 224)), RandomHorizontalFlip()]
    return {
        "num_workers": WORKERS,
        "order": OrderOption.RANDOM,
        "pipelines": {"image": [*decode, ToTensor(), ToTorchImage()]},
        "drop_last": False,
    }


def stock_loader(path: Path) -> Callable[[], int]:
    loader = StockLoader(str(path), BATCH, **options())
    return lambda: sum(len(batch[0]) for batch in loader)


def our_loader(path: Path, images: int) -> Callable[[], int]:
    sampler = ds.Sampler(images, batch_size=BATCH, columns={"loss": Last()})
    loader = Loader(str(path), BATCH, sampler=sampler, **options())
    loss = torch.ones(BATCH)

    def epoch() -> int:
        seen = 0
        for _, _, index in loader:
            sampler.observe(index, loss=loss[: len(index)])
            seen += len(index)
        return seen

    return epoch


def cases(folder: Path, images: int) -> Iterator[Case]:
    """Training, with an observation in every step of ours."""
    path = write(folder, images)
    yield Case("ffcv_train", our_loader(path, images), stock_loader(path))
    yield Case("aa", stock_loader(path), stock_loader(path))


def boundary(folder: Path, samples: int) -> Boundary:
    """Fold, select and plan, beside giving FFCV's loader other indices; the file holds labels."""
    path = str(folder / "labels.beton")
    DatasetWriter(path, {"label": IntField()}, num_workers=WORKERS).from_indexed_dataset(
        [(i,) for i in range(samples)], chunksize=10000
    )
    epochs = Epochs(samples, BOUNDARY_BATCH)
    loader = Loader(
        path,
        BOUNDARY_BATCH,
        num_workers=WORKERS,
        pipelines={"label": [IntDecoder(), ToTensor()]},
        sampler=epochs.sampler,
    )
    stock = StockLoader(
        path,
        BOUNDARY_BATCH,
        num_workers=WORKERS,
        order=OrderOption.RANDOM,
        pipelines={"label": [IntDecoder(), ToTensor()]},
    )

    left: list[Any] = []  # FFCV's iterators go on in the background until they are closed

    def prepare() -> None:
        while left:
            left.pop().close()
        epochs.run_out(loader, lambda batch: batch[-1])

    def ours() -> None:
        epochs.plan()
        next(iter(loader))

    def peer() -> None:
        """Find the samples to keep, and take the first batch of another order of them."""
        stock.indices = epochs.kept_by_numpy().astype(np.uint64)
        stock.traversal_order = Random(stock)
        left.append(iter(stock))
        next(left[0])

    return Boundary("ffcv_boundary", prepare, ours, "other indices", peer)
