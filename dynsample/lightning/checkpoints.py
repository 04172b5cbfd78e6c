"""What a sampler saves, inside a checkpoint; and where Lightning goes on from one."""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import torch
from lightning.pytorch import Trainer


class _Progress(TypedDict):
    """Epochs or batches: in all, and in the fit or epoch that runs."""

    total: dict[str, int]
    current: dict[str, int]
    is_last_batch: bool


_Loops = dict[str, dict[str, _Progress]]


@contextmanager
def shared_folder(trainer: Trainer) -> Iterator[Path]:
    """Make a folder that all ranks see, for the time of the block. Collective."""
    root, made = Path(trainer.default_root_dir), None
    if trainer.is_global_zero:
        root.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix=".dynsample-", dir=root)
    folder = Path(trainer.strategy.broadcast(made))
    try:
        yield folder
        trainer.strategy.barrier()  # nobody reads it any more
    finally:
        if trainer.is_global_zero:
            shutil.rmtree(folder, ignore_errors=True)


def packed(folder: Path) -> torch.Tensor:
    """Return the files of a folder as one tensor, uint8[n]: a checkpoint may hold these."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return torch.from_numpy(np.frombuffer(content.getvalue(), np.uint8).copy())


def unpack(state: torch.Tensor, folder: Path) -> None:
    """Write the files that `packed` took."""
    with zipfile.ZipFile(io.BytesIO(state.numpy().tobytes())) as archive:
        archive.extractall(folder)


def begin_epoch(checkpoint: Mapping[str, object], epoch: int) -> None:
    """Have Lightning begin an epoch, with what is left of it, where it would go on by itself.

    It would count the batches of the epoch from the one that was last, and not skip any.
    """
    loop = cast("_Loops", checkpoint["loops"])["fit_loop"]
    epochs, batches = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    done = batches["total"]["processed"]
    for counts, total, current in ((epochs, epoch, epoch), (batches, done, 0)):
        counts["total"] = dict.fromkeys(counts["total"], total)
        counts["current"] = dict.fromkeys(counts["current"], current)
    batches["is_last_batch"] = False
