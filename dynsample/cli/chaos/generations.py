"""Model and sampler as one checkpoint, a generation: a directory that is whole or absent."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from dynsample import Sampler
from dynsample._disk import sync_folder
from dynsample.checkpoint import StateError
from dynsample.cli.chaos.records import seal, unseal
from dynsample.groups import Group


def newest(folder: Path) -> int:
    """Give the number of the newest generation, 0 when there is none."""
    names = [path.name for path in folder.glob("step-*") if path.suffix != ".tmp"]
    return max((int(name.removeprefix("step-")) for name in names), default=0)


def directory(folder: Path, number: int) -> Path:
    """Where a generation is."""
    return folder / f"step-{number:06d}"


def save(folder: Path, number: int, model: Any, sampler: Sampler, group: Group) -> None:
    """Write both beside the last generation, and then give the directory its name. Collective."""
    root = group.rank == 0
    final = directory(folder, number)
    temporary = final.with_suffix(".tmp")
    what = f"the save of generation {number}"

    def begin() -> None:
        if temporary.exists():  # of a run that was killed
            shutil.rmtree(temporary)
        temporary.mkdir()
        with (temporary / "model").open("w") as file:
            file.write(seal(model))
            file.flush()
            os.fsync(file.fileno())

    def commit() -> None:
        sync_folder(temporary)
        os.rename(temporary, final)  # the generation counts from here on
        sync_folder(folder)
        for old in folder.glob("step-*"):
            if old != final:
                shutil.rmtree(old)

    group.agree(begin if root else lambda: None, what)
    sampler.save(temporary / "sampler")
    group.agree(commit if root else lambda: None, what)


def load(folder: Path, sampler: Sampler, group: Group) -> Any:
    """Load the newest generation into the sampler; give the model, None when there is none.

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
