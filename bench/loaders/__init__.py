"""What bench_loader.py, bench_boundary.py and bench_start.py time: one module per loader.

A module named in `LOADERS` has `cases(folder, images)`, which gives `Case`s, and may have
`boundary(folder, samples)`, which gives a `Boundary`. What cannot be imported is left out with a
word.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import dynsample as ds

# Module here, and the package that it needs.
LOADERS = {"dali": "nvidia.dali", "ffcv": "ffcv", "torch": "torch"}
CLASSES, WIDTH, HEIGHT = 10, 500, 375
TINY_FILES, TINY_BYTES, TINY_CLASSES = 100, 1024, 1000


class Case(NamedTuple):
    """Two loaders over the same images; each call is an epoch, and gives how many it held."""

    name: str
    ours: Callable[[], int]
    peer: Callable[[], int]


class Start(NamedTuple):
    """From nothing to the first batch of two loaders over the same files.

    What a call gives back is what a training script would hold from then on.
    """

    name: str
    ours: Callable[[], object]
    peer_name: str
    peer: Callable[[], object]


class Boundary(NamedTuple):
    """What happens between the last batch of an epoch and the first of the next.

    `prepare` brings ours to the last batch of an epoch of which everything was observed; `ours` and
    `peer` go from there to the first batch of the next.
    """

    name: str
    prepare: Callable[[], object]
    ours: Callable[[], object]
    peer_name: str
    peer: Callable[[], object]


class Epochs:
    """KAKURENBO's epochs over `samples`, every one observed with the same losses."""

    def __init__(self, samples: int, batch_size: int) -> None:
        self.sampler = ds.Sampler(samples, ds.Kakurenbo(fraction=0.3), batch_size=batch_size)
        self.loss = np.random.default_rng(0).random(samples, np.float32)
        self._sure = np.ones(batch_size, np.float32)
        self._epoch = 0

    def observe(self, index: Any) -> None:
        """Report a batch."""
        ids, one = np.asarray(index), self._sure[: len(index)]
        self.sampler.observe(ids, loss=self.loss[ids], correct=one, confidence=one)

    def run_out(self, loader: Iterable[Any], index_of: Callable[[Any], Any]) -> None:
        """Begin the epoch anew; take most from the sampler itself, and its end from the loader."""
        self.sampler.set_epoch(self._epoch, restart=True)
        for step, index in enumerate(self.sampler):
            self.observe(index)
            if step == len(self.sampler) - 5:
                break
        for index in self.sampler.hidden:
            self.observe(index)
        for batch in loader:
            self.observe(index_of(batch))

    def plan(self) -> None:
        """Fold, select and plan the next one."""
        self._epoch += 1
        self.sampler.set_epoch(self._epoch)

    def kept_by_numpy(self) -> np.ndarray:
        """Find what a user would keep without us, ascending."""
        num_hidden = int(0.3 * len(self.loss))
        return np.sort(np.argpartition(self.loss, num_hidden)[num_hidden:])


def write_images(folder: Path, images: int) -> Path:
    """Write JPEGs of about 90 KB, as large as those of ImageNet, into class folders."""
    root = folder / f"images-{images}"
    if root.exists():
        return root
    random = np.random.default_rng(0)
    for label in range(CLASSES):
        (root / f"class{label}").mkdir(parents=True)
    y, x = np.mgrid[:HEIGHT, :WIDTH] / 60
    noise = random.normal(0, 22, (8, HEIGHT, WIDTH, 3))
    for i in range(images):
        wave = np.sin(x + i) + np.cos(y * (1 + i % 7 / 7))
        pixels = 128 + 45 * wave[:, :, None] + np.roll(noise[i % 8], i, 0)
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(root / f"class{i % CLASSES}" / f"{i}.jpg", quality=83)
    return root


def write_tiny_files(folder: Path, files: int) -> Path:
    """Write a tree of 1000 class folders with names of ImageNet, which are links to 100 files."""
    root, content = folder / "tree", folder / "content"
    content.mkdir()
    for i in range(TINY_FILES):
        (content / str(i)).write_bytes(bytes(TINY_BYTES))
    for i in range(files):
        label, number = i % TINY_CLASSES, i // TINY_CLASSES
        name = f"n{1440764 + label:08d}"
        if not number:
            (root / name).mkdir(parents=True)
        os.link(content / str(i % TINY_FILES), root / name / f"{name}_{number}.JPEG")
    return root


def link_images(root: Path, times: int) -> Path:
    """Give every image `times` names, for a data set as large as real ones in paths."""
    linked = root.with_name(f"{root.name}-{times}")
    for path in root.rglob("*.jpg"):
        (linked / path.parent.name).mkdir(parents=True, exist_ok=True)
        for i in range(times):
            os.link(path, linked / path.parent.name / f"{path.stem}-{i}.jpg")
    return linked
