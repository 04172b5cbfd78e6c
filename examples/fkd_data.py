"""Data sets that show a sample as the teacher saw it: the digits, and class folders."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from dynsample.files import scan
from dynsample.payload import View, fingerprint

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class Data(torch.utils.data.Dataset[Any], ABC):
    """What the example needs of a data set: views in place of indices, and a fingerprint."""

    num_classes: int
    channels: int
    size: tuple[int, int]
    fingerprint: str
    smallest_crop: float
    flip: float

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, view: View) -> tuple[torch.Tensor, int]: ...

    @abstractmethod
    def test(self) -> Batches:
        """Return batches of test images and labels."""


class Digits(Data):
    """scikit-learn's handwritten digits; a digit has few pixels to spare, and no mirror image."""

    channels, size, smallest_crop, flip = 1, (8, 8), 0.6, 0.0

    def __init__(self) -> None:
        from dynsample.cli.experiment.tasks import digits

        self._task = digits()
        self.num_classes = self._task.num_classes
        self.fingerprint = fingerprint(self._task.train_labels.numpy())

    def __len__(self) -> int:
        return self._task.num_train

    def __getitem__(self, view: View) -> tuple[torch.Tensor, int]:
        top, left, height, width = view.pixels(*self.size)
        image = self._task.train_images[view.sample]
        part = image[:, top : top + height, left : left + width]
        shown = F.interpolate(part[None], self.size, mode="bilinear")[0]
        return shown.flip(-1) if view.flip else shown, int(self._task.train_labels[view.sample])

    def test(self) -> Batches:
        """Return batches of test images and labels."""
        return iter([(self._task.test_images, self._task.test_labels)])


class Folder(Data):
    """Class folders of image files."""

    channels, smallest_crop, flip = 3, 0.08, 0.5

    def __init__(self, train: Path, val: Path | None, args: argparse.Namespace) -> None:
        self._root, self._val, self._batch = train, val, args.batch_size
        self._names, self._labels = scan(train)
        self.num_classes, self.size = max(self._labels) + 1, (args.size, args.size)
        self.fingerprint = fingerprint(self._labels, self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, view: View) -> tuple[torch.Tensor, int]:
        file = self._root / self._names[view.sample].decode()
        return self._show(file, view), self._labels[view.sample]

    def _show(self, file: Path, view: View) -> torch.Tensor:
        from PIL import Image

        with Image.open(file) as image:
            top, left, height, width = view.pixels(image.height, image.width)
            part = image.convert("RGB").crop((left, top, left + width, top + height))
        shown = part.resize(self.size, Image.Resampling.BILINEAR)
        pixels = np.asarray(shown, np.float32).transpose(2, 0, 1) / 127.5 - 1
        return torch.from_numpy(pixels[..., ::-1].copy() if view.flip else pixels)

    def test(self) -> Batches:
        """Yield batches of test images and labels; none without a folder of them."""
        names, labels = ([], []) if self._val is None else scan(self._val)
        for start in range(0, len(names), self._batch):
            rows = range(start, min(start + self._batch, len(names)))
            files = [Path(str(self._val), names[i].decode()) for i in rows]
            whole = [View(0, (0.0, 0.0, 1.0, 1.0), False)] * len(files)
            images = torch.stack([self._show(*pair) for pair in zip(files, whole, strict=True)])
            yield images, torch.tensor([labels[i] for i in rows])
