"""The data sets: the same bits in every run, and no download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from dynsample.cli.experiment import fashion as fashion_mnist
from dynsample.cli.experiment.lr import linear, one_cycle
from dynsample.cli.experiment.model import fashion_cnn, small_cnn

GLYPHS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
GLYPH_SIZE = 16  # pixels of a side
GLYPH_NOISE = 0.15  # largest standard deviation; strokes are 0.5 to 1


@dataclass(frozen=True)
class Task:
    """A data set with the training settings that suit it.

    Attributes
    ----------
    train_images, test_images : float32[N, 1, H, W], mean 0 and deviation 1 over the training set
    train_labels, test_labels : int64[N]
    num_classes, epochs, batch_size : int
    lr : float
        The highest of the run.
    lr_curve : callable(float) -> float
        Share of it after a share of the run.
    model : callable(side, num_classes, seed) -> Module
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    num_classes: int
    epochs: int
    lr: float
    batch_size: int = 64
    lr_curve: Callable[[float], float] = one_cycle
    model: Callable[[int, int, int], nn.Module] = small_cnn

    @property
    def num_train(self) -> int:
        """Number of training samples."""
        return len(self.train_labels)


def _split(
    images: NDArray[np.float32], labels: NDArray[np.int64], num_train: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean, deviation = images[:num_train].mean(), images[:num_train].std()
    pixels = torch.from_numpy((images - mean) / deviation).unsqueeze(1)
    classes = torch.from_numpy(labels)
    return pixels[:num_train], classes[:num_train], pixels[num_train:], classes[num_train:]


def digits() -> Task:
    """scikit-learn's 1797 handwritten digits, 8 x 8: 1300 to train on and 497 to test on."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    images = bunch.images[order].astype(np.float32)
    labels = bunch.target[order].astype(np.int64)
    return Task("digits", *_split(images, labels, 1300), num_classes=10, epochs=12, lr=0.1)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _draw_glyph(text: str, random: np.random.Generator) -> NDArray[np.float32]:
    """One character at some size, turn, place and contrast, under Gaussian noise."""
    size, margin = GLYPH_SIZE, GLYPH_SIZE // 2
    canvas = Image.new("L", (2 * size, 2 * size))
    font = _font(int(random.integers(10, 17)))
    ImageDraw.Draw(canvas).text((size, size), text, fill=255, font=font, anchor="mm")
    turned = canvas.rotate(random.uniform(-30, 30), resample=Image.Resampling.BILINEAR)
    left, top = margin + random.integers(-2, 3, size=2)
    pixels = np.asarray(turned, np.float32)[top : top + size, left : left + size] / 255
    noise = random.normal(0.0, random.uniform(0.0, GLYPH_NOISE), pixels.shape)
    return (random.uniform(0.5, 1.0) * pixels + noise).astype(np.float32)


def glyphs(num_train: int = 6000, num_test: int = 4000) -> Task:
    """36 characters in Pillow's own font, 16 x 16, so noisy that one in seven stays unread."""
    random = np.random.default_rng(0)
    labels = random.integers(len(GLYPHS), size=num_train + num_test)
    images = np.stack([_draw_glyph(GLYPHS[label], random) for label in labels])
    return Task(
        "glyphs",
        *_split(images, labels, num_train),
        num_classes=len(GLYPHS),
        epochs=10,
        lr=0.2,
    )


def fashion(folder: Path = fashion_mnist.FOLDER) -> Task:
    """Fashion-MNIST, from the files in a folder: 60,000 to train on and 10,000 to test on."""
    images, labels = fashion_mnist.load(folder)
    return Task(
        "fashion",
        *_split(images.astype(np.float32), labels.astype(np.int64), fashion_mnist.SIZES["train"]),
        num_classes=fashion_mnist.NUM_CLASSES,
        epochs=5,
        lr=0.2,
        batch_size=128,
        lr_curve=linear,
        model=fashion_cnn,
    )


TASKS: dict[str, Callable[[], Task]] = {"digits": digits, "glyphs": glyphs}


def load(name: str, data: Path | None = None) -> Task:
    """Return the task of a name; `data` is the folder of the files that some are read from."""
    if name == "fashion":
        return fashion(data or fashion_mnist.FOLDER)
    return TASKS[name]()
