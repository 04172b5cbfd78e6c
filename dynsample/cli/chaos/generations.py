"""Model and sampler as one checkpoint, a generation: a directory that counts when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dynsample import Sampler
from dynsample.cli.chaos.records import seal, unseal
from dynsample.disk.checkpoint import StateError
from dynsample.disk.files import sync_folder
from dynsample.disk.state_files import INDEX
from dynsample.groups import Group


def directory(folder: Path, number: int) -> Path:
    """Where a generation is."""
    return folder / f"step-{number:06d}"


def whole(path: Path) -> bool:
    """Whether a generation is whole: the sampler's state is written last, whole or not at all."""
    return (path / "sampler" / INDEX).exists()


def newest(folder: Path) -> int:
    """Return the number of the newest generation that is whole, 0 when there is none."""
    paths = [path for path in folder.glob("step-*") if whole(path)]
    return max((int(path.name.removeprefix("step-")) for path in paths), default=0)


def save(
    folder: Path, number: int, model: Mapping[str, object], sampler: Sampler, group: Group
) -> None:
    """Write the model, and beside it the sampler, which makes the generation count. Collective.

    On one process a handler may call this in the middle of anything: nothing comes after the save
    of the sampler, which may happen a little later.
    """
    path = directory(folder, number)

    def begin() -> None:
        if path.exists():  # of a run that was killed
            shutil.rmtree(path)
        path.mkdir()
        with (path / "model").open("w") as file:
            file.write(seal(model))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path)
        sync_folder(folder)

    what = f"the save of generation {number}"
    group.agree(begin if group.rank == 0 else lambda: None, what)
    sampler.save(path / "sampler")


def forget_older(folder: Path, number: int, group: Group) -> None:
    """Remove what is older than a generation that is whole, or was never whole. Collective."""

    def remove() -> None:
        for old in folder.glob("step-*"):
            if int(old.name.removeprefix("step-")) < number:
                shutil.rmtree(old)

    what = f"the end of the save of generation {number}"
    group.agree(remove if group.rank == 0 else lambda: None, what)


def load(folder: Path, sampler: Sampler, group: Group) -> object:
    """Load the newest generation into the sampler; return the model, None without one.

    Collective. Raises StateError when it cannot be loaded.
    """
    what = "which generation is the newest"
    number = int(group.all_gather(np.array([newest(folder)]), what)[0][0])
    if not number:
        return None
    path = directory(folder, number)
    sampler.load(path / "sampler")
    model = unseal((path / "model").read_text())
    if model is None:
        raise StateError(f"{path / 'model'} is damaged")
    return model
