"""Whether a student is shown what the teacher was: bit for bit, however it is trained."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

import dynsample as ds
from dynsample.torch import DataLoader

DIGEST = 16  # bytes


@dataclass(frozen=True)
class Setting:
    """A way of training the student."""

    name: str
    batch_size: int
    seed: int = 1
    workers: int = 0
    ranks: int = 1
    fraction: float = 1.0


def settings(batch_size: int) -> Iterator[Setting]:
    """Other orders and batch sizes than the teacher's, workers, ranks, and a part of the data."""
    yield Setting("the teacher's batch size and order", batch_size, seed=0)
    yield Setting("another batch size and order", batch_size // 3 + 1)
    yield Setting("2 workers", batch_size, workers=2)
    yield Setting("2 ranks", batch_size // 2, ranks=2)
    yield Setting("2 ranks with 2 workers each", batch_size // 4 + 1, ranks=2, workers=2)
    yield Setting("a subset of 30 %", batch_size, fraction=0.3)


def digests(images: torch.Tensor) -> np.ndarray:
    """Digest of every image's bytes, uint8[B, DIGEST]."""
    rows = [hashlib.blake2b(image.numpy().tobytes(), digest_size=DIGEST) for image in images]
    return np.frombuffer(b"".join(row.digest() for row in rows), np.uint8).reshape(-1, DIGEST)


def compare(data: Any, store: Any, seen: np.ndarray, setting: Setting) -> tuple[int, int]:
    """Count the inputs of all epochs, and those whose digests differ from `seen`."""
    if setting.ranks == 1:
        counts = _compare(data, store, seen, setting)
        return int(counts[0]), int(counts[1])
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, data, store, seen, setting)
        torch.multiprocessing.spawn(_rank, arguments, nprocs=setting.ranks)
        total = sum(np.load(path) for path in Path(folder).glob("rank-*.npy"))
    return int(total[0]), int(total[1])


def _rank(
    rank: int, folder: str, data: Any, store: Any, seen: np.ndarray, setting: Setting
) -> None:
    torch.set_num_threads(1)
    meeting = Path(folder, "meeting").as_uri()
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=setting.ranks)
    np.save(Path(folder, f"rank-{rank}.npy"), _compare(data, store, seen, setting))
    dist.destroy_process_group()


def _compare(data: Any, store: Any, seen: np.ndarray, setting: Setting) -> np.ndarray:
    n, subset = len(data), None
    if setting.fraction < 1:
        order = ds.ops.permute(n, seed=setting.seed, epoch=0)
        subset = order[: int(setting.fraction * n)]
    group = dist.group.WORLD if setting.ranks > 1 else ds.groups.single()
    sampler = ds.Sampler(
        n, batch_size=setting.batch_size, seed=setting.seed, subset=subset, group=group
    )
    options = {"persistent_workers": True, "multiprocessing_context": "fork"}
    loader = DataLoader(
        data,
        sampler=sampler,
        payload=store,
        num_workers=setting.workers,
        **(options if setting.workers else {}),
    )
    counts = np.zeros(2, np.int64)
    for epoch in range(len(seen)):
        sampler.set_epoch(epoch)
        for images, _, _, index in loader:
            differ = (digests(images) != seen[epoch, index.numpy()]).any(1)
            counts += len(index), int(differ.sum())
    return counts
