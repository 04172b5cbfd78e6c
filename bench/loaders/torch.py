"""torch's DataLoader beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader as StockLoader

import dynsample as ds
from dynsample.torch import DataLoader
from loaders import Case, write_images

BATCH, WORKERS = 64, 2


class Images(torch.utils.data.Dataset[Any]):
    """Decoded, cropped and flipped images."""

    def __init__(self, root: Path) -> None:
        self.paths = sorted(root.rglob("*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        left, top = torch.randint(100, (2,)).tolist()
        with Image.open(self.paths[i]) as image:
            pixels = np.asarray(image.resize((224, 224), box=(left, top, left + 260, top + 260)))
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1), i % 10


def cases(folder: Path, images: int) -> Iterator[Case]:
    """Training with worker processes that live on."""
    dataset = Images(write_images(folder, images))
    options = {"num_workers": WORKERS, "persistent_workers": True}
    ours = DataLoader(dataset, sampler=ds.Sampler(images, batch_size=BATCH), **options)
    stock: StockLoader[Any] = StockLoader(dataset, batch_size=BATCH, shuffle=True, **options)
    yield Case(
        "torch_train",
        lambda: sum(len(batch[0]) for batch in ours),
        lambda: sum(len(batch[0]) for batch in stock),
    )
