"""Small stores, and the teacher's words in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dynsample.payload import Facts, Store, Views, Writer

N, CLASSES, SIZE = 50, 12, (16, 24)


def facts(**more: Any) -> Facts:
    return Facts(N, CLASSES, **{"mix": "cutmix", "size": SIZE, **more})


def logits_of(epoch: int, index: np.ndarray) -> np.ndarray:
    """Any function of epoch and sample: multiples of 1/8, which float16 holds."""
    classes = np.arange(CLASSES)
    return ((index[:, None] * 7 + classes * 5 + epoch * 3) % 61).astype(np.float32) / 8


def write(path: Path, facts: Facts, epochs: int = 2, seed: int = 3) -> tuple[Store, Views]:
    """Write a store in batches of seven, in random order."""
    views, writer = Views(facts, seed=seed), Writer(path, facts)
    for epoch in writer.missing(epochs):
        with writer.epoch(epoch) as rows:
            for index in np.split(np.random.default_rng(epoch).permutation(N), range(7, N, 7)):
                rows.add(index, logits_of(epoch, index), **views.batch(epoch, index))
    return Store(path), views
