"""What launchers tell the processes they start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """A world that a launcher says it started."""

    launcher: str
    variable: str
    size: int

    def __str__(self) -> str:
        return f"{self.launcher} launched {self.size} processes ({self.variable}={self.size})"


def torchrun_world(environ: Mapping[str, str] = os.environ) -> World | None:
    """World of torchrun: WORLD_SIZE alone may be a setting of anything."""
    if "RANK" in environ or "TORCHELASTIC_RUN_ID" in environ:
        return _world(environ, ("torchrun", "WORLD_SIZE"))
    return None


def mpi_world(environ: Mapping[str, str] = os.environ) -> World | None:
    """World of an MPI launcher, or of Slurm where it serves MPI by PMI2 (PMI_SIZE) or PMIx."""
    names = [("Open MPI", "OMPI_COMM_WORLD_SIZE"), ("MPICH", "PMI_SIZE")]
    if "PMIX_RANK" in environ:
        names += _SLURM
    return _world(environ, *names)


def horovod_world(environ: Mapping[str, str] = os.environ) -> World | None:
    """World of horovodrun."""
    return _world(environ, ("Horovod", "HOROVOD_SIZE"))


def slurm_world(environ: Mapping[str, str] = os.environ) -> World | None:
    """Tasks of Slurm, which may have no way to speak with each other."""
    return _world(environ, *_SLURM)


_SLURM = [("Slurm", "SLURM_STEP_NUM_TASKS"), ("Slurm", "SLURM_NTASKS")]


def _world(environ: Mapping[str, str], *names: tuple[str, str]) -> World | None:
    for launcher, variable in names:
        if environ.get(variable, "").isdigit():
            return World(launcher, variable, int(environ[variable]))
    return None
