"""Which ranks a process belongs to."""

from __future__ import annotations

import sys
from typing import Any

from dynsample.groups import environment
from dynsample.groups.base import Group
from dynsample.groups.mpi import mpi
from dynsample.groups.single import single
from dynsample.groups.torch import torch

_ALONE = "group=dynsample.groups.single() if each process trains a model of its own"


def as_group(group: object) -> Group:
    """Resolve the `group` argument of the sampler; collective where a world was launched.

    Parameters
    ----------
    group : Group, mpi4py communicator, torch.distributed process group, "auto" or None
        "auto" finds the ranks of torch.distributed, MPICH, Open MPI, and Slurm with PMI. None is
        one process.

    Raises
    ------
    RuntimeError
        When several processes were launched and cannot be joined, or None was given:
        processes that train together must not each plan on their own.

    Examples
    --------
    >>> as_group(None).size
    1
    """
    if isinstance(group, Group):
        return group
    if group is None:
        return _alone()
    if isinstance(group, str) and group == "auto":
        return _found()
    given: Any = group
    if _is_a(group, "mpi4py.MPI", "Comm"):
        return mpi(given)
    if _is_a(group, "torch.distributed", "ProcessGroup"):
        return torch(given)
    raise ValueError(
        'group must be "auto" or a group of dynsample.groups, a communicator of mpi4py, or a '
        f"process group of torch.distributed, got {group!r}"
    )


def found_again(group: Group) -> Group:
    """Look again for the ranks that "auto" found, which may have been joined since; collective.

    Lightning, `torch.multiprocessing.spawn` and many scripts make the sampler first and initialise
    torch.distributed later.

    Parameters
    ----------
    group : Group
        What `as_group("auto")` gave.

    Returns
    -------
    Group
        `group` itself, unless it is one process and there are more now.

    Raises
    ------
    RuntimeError
        As `as_group`, when several processes were launched since and cannot be joined.

    Examples
    --------
    >>> group = as_group("auto")
    >>> found_again(group) is group
    True
    """
    if group.size > 1:
        return group
    again = _found()
    return again if again.size > 1 else group


def _found() -> Group:
    if _initialised_size() > 1:
        return torch()
    torchrun, ranks = environment.torchrun_world(), environment.mpi_world()
    if torchrun and torchrun.size > 1:
        raise RuntimeError(
            f"{torchrun}, and torch.distributed is not initialised: call "
            f"torch.distributed.init_process_group first, or pass {_ALONE}"
        )
    if (ranks and ranks.size > 1) or _mpi_size() > 1:
        return mpi()
    horovod, slurm = environment.horovod_world(), environment.slurm_world()
    if horovod and horovod.size > 1:
        raise RuntimeError(f"{horovod}: pass group=mpi4py.MPI.COMM_WORLD, or {_ALONE}")
    # A world of one inside the tasks of Slurm: mpiexec -n 1 or torchrun in a batch script.
    if slurm and slurm.size > 1 and not (ranks or torchrun):
        raise RuntimeError(
            f"{slurm}, which have no way to speak with each other: launch with srun --mpi=pmix, "
            f"srun --mpi=pmi2 or torchrun, or pass {_ALONE}"
        )
    return single()


def _alone() -> Group:
    if _initialised_size() > 1:
        raise RuntimeError(
            f"torch.distributed is initialised with {_initialised_size()} processes, and group is "
            f'None: pass group="auto", or {_ALONE}'
        )
    if _mpi_size() > 1:
        raise RuntimeError(
            f'MPI has a world of {_mpi_size()} processes, and group is None: pass group="auto", '
            f"or {_ALONE}"
        )
    torchrun, ranks = environment.torchrun_world(), environment.mpi_world()
    slurm = None if ranks or torchrun else environment.slurm_world()
    for world in (torchrun, ranks, environment.horovod_world(), slurm):
        if world and world.size > 1:
            raise RuntimeError(f'{world}, and group is None: pass group="auto", or {_ALONE}')
    return single()


def _is_a(value: object, module: str, name: str) -> bool:
    """Whether `value` is of a class of a module, which is then imported already."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)


def _initialised_size() -> int:
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return 1
    return int(distributed.get_world_size())


def _mpi_size() -> int:
    """Size of the world of an MPI that is in use, whatever launched it."""
    MPI = sys.modules.get("mpi4py.MPI")
    if MPI is None or not MPI.Is_initialized() or MPI.Is_finalized():
        return 1
    return int(MPI.COMM_WORLD.Get_size())
