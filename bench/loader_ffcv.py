"""FFCV's own Loader beside ours, which plans, counts, returns the index and takes observations.

`cases` gives what bench_loader.py times: name -> (one epoch of ours, the peer's name, one epoch of
the peer). Images are JPEGs of 500 x 375 and about 90 KB, decoded and cropped to 224 x 224; both
loaders go over every image once an epoch, in a random order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader as StockLoader
from ffcv.transforms import ToTensor
from ffcv.writer import DatasetWriter

import dynsample as ds
from dynsample.columns import Last
from dynsample.ffcv import Loader, OrderOption

BATCH, WORKERS = 64, 2


class Textures:
    """Smooth colour and noise, about as hard to decode as a photograph."""

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        random = np.random.default_rng(i)
        coarse = torch.from_numpy(random.uniform(0, 255, (1, 3, 6, 8)))
        smooth = torch.nn.functional.interpolate(coarse, (375, 500), mode="bilinear")
        noisy = smooth[0].permute(1, 2, 0).numpy() + random.normal(0, 14, (375, 500, 3))
        return noisy.clip(0, 255).astype(np.uint8), i % 10


def write(path: Path, num_samples: int) -> None:
    fields = {"image": RGBImageField(write_mode="jpg", jpeg_quality=85), "label": IntField()}
    DatasetWriter(str(path), fields, num_workers=1).from_indexed_dataset(Textures(num_samples))


def pipelines() -> dict[str, list[object]]:
    return {"image": [RandomResizedCropRGBImageDecoder((224, 224)), ToTensor()]}


def stock(path: Path) -> Callable[[], None]:
    loader = StockLoader(
        str(path), BATCH, WORKERS, order=OrderOption.RANDOM, seed=0, pipelines=pipelines()
    )

    def epoch() -> None:
        for images, _ in loader:
            images[0, 0, 0, 0].item()

    return epoch


def ours(path: Path, num_samples: int) -> Callable[[], None]:
    sampler = ds.Sampler(num_samples, batch_size=BATCH, drop_last=True, columns={"loss": Last()})
    loader = Loader(str(path), BATCH, WORKERS, sampler=sampler, pipelines=pipelines())
    loss = torch.ones(BATCH)

    def epoch() -> None:
        for images, _, index in loader:
            images[0, 0, 0, 0].item()
            sampler.observe(index, loss=loss)

    return epoch


def cases(
    folder: Path, num_samples: int = 1024
) -> dict[str, tuple[Callable[[], None], str, Callable[[], None]]]:
    """Write the images into `folder`, and make the cases; the second is the A/A control."""
    path = folder / "textures.beton"
    write(path, num_samples)
    peer = stock(path)
    return {
        "ffcv_train": (ours(path, num_samples), "ffcv.loader.Loader", peer),
        "aa": (stock(path), "ffcv.loader.Loader", peer),
    }
