"""Folders of small JPEGs that prove their own ids, also after lossy compression."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GRID, BLOCK = 4, 16  # blocks of a side, pixels of a block's side
SIDE = GRID * BLOCK
MAX_SAMPLES = 1 << 12  # the last four of the sixteen bits are a check
DARK, LIGHT = 48, 208

# Sorted by bytes; a locale, a number or a case-blind comparison would sort them differently.
FOLDERS = ("Zebra", "apple", "été")


@dataclass(frozen=True, eq=False)
class ImageTree:
    """A folder of class folders.

    Attributes
    ----------
    root : Path
    paths : tuple of Path
        File of every id: folders by bytes, then file names by bytes.
    labels : int64[N]
        Number of every id's folder.
    """

    root: Path
    paths: tuple[Path, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.paths)


def write_tree(root: Path, num_samples: int) -> ImageTree:
    """Write `num_samples` JPEGs into class folders under `root`, which is made."""
    if not len(FOLDERS) <= num_samples <= MAX_SAMPLES:
        raise ValueError(f"num_samples must be in [{len(FOLDERS)}, {MAX_SAMPLES}]")
    names = [(FOLDERS[i % len(FOLDERS)], f"{'aB'[i % 2]}{i}.jpg") for i in range(num_samples)]
    names.sort(key=lambda pair: [os.fsencode(name) for name in pair])
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    paths = tuple(root / folder / name for folder, name in names)
    for sample, path in enumerate(paths):
        Image.fromarray(draw(sample)).save(path, quality=90)
    labels = np.array([FOLDERS.index(folder) for folder, _ in names], np.int64)
    return ImageTree(root, paths, labels)


def draw(sample: int) -> NDArray[np.uint8]:
    """Draw the image of an id: its bits as light and dark blocks, over a tint of its own."""
    bits = (_word(np.array([sample])) >> np.arange(GRID * GRID)) & 1
    grey = np.where(bits, LIGHT, DARK).reshape(GRID, GRID)
    tint = np.array([sample * 7 % 41, sample * 5 % 37, sample * 3 % 31]) - 18
    pixels = grey.repeat(BLOCK, 0).repeat(BLOCK, 1)[:, :, None] + tint
    return pixels.astype(np.uint8)


def read_ids(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Read the ids off decoded images, uint8[B, SIDE, SIDE, 3]; an unreadable one is an error."""
    assert (pixels.dtype, pixels.shape[1:]) == (np.uint8, (SIDE, SIDE, 3))
    blocks = pixels.reshape(len(pixels), GRID, BLOCK, GRID, BLOCK, 3).mean((2, 4, 5))
    bits = (blocks > (DARK + LIGHT) / 2).reshape(len(pixels), -1)
    word = (bits << np.arange(GRID * GRID)).sum(1, dtype=np.int64)
    ids = word >> 4
    np.testing.assert_array_equal(_word(ids), word, "images that show no id")
    return ids


def _word(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Id and check: never all bits or none, so that a blank image is no id."""
    return ids << 4 | ids % 13 + 1
