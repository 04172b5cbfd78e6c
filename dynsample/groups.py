"""The data-parallel ranks that train together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

# Launcher and the variable in which it tells a process the size of its world.
_LAUNCHERS = (
    ("torchrun", "WORLD_SIZE"),
    ("MPICH", "PMI_SIZE"),
    ("Open MPI", "OMPI_COMM_WORLD_SIZE"),
    ("Horovod", "HOROVOD_SIZE"),
    ("Slurm", "SLURM_STEP_NUM_TASKS"),
)


@dataclass(frozen=True)
class Group:
    """The ranks of a sampler.

    Attributes
    ----------
    rank : int
    size : int
    """

    rank: int = 0
    size: int = 1


def single() -> Group:
    """One process on its own, whatever launched it."""
    return Group()


def launched(environ: Mapping[str, str] = os.environ) -> tuple[str, str, int] | None:
    """Launcher, variable and size of the world this process was started in, if larger than one."""
    for launcher, variable in _LAUNCHERS:
        size = environ.get(variable, "")
        if size.isdigit() and int(size) > 1:
            return launcher, variable, int(size)
    return None


def as_group(group: str | Group | None) -> Group:
    """Resolve the `group` argument of the sampler.

    Raises
    ------
    RuntimeError
        When several processes were launched: this version plans for one, and processes that train
        together must not each plan on their own.
    """
    if isinstance(group, Group):
        return group
    if group not in ("auto", None):
        raise ValueError(f'group must be "auto" or a group of dynsample.groups, got {group!r}')
    world = launched()
    if world:
        launcher, variable, size = world
        raise RuntimeError(
            f"{launcher} launched {size} processes ({variable}={size}), and this version plans for "
            "one process; pass group=dynsample.groups.single() if each trains a model of its own"
        )
    return single()
