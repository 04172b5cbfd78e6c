"""The data-parallel ranks that train together.

`single`, `mpi` and `torch` make a `Group`, `simulate` runs many ranks in one process, `as_group`
resolves the `group` argument of a sampler, and `found_again` looks once more. No MPI and no torch
is imported before a group of theirs is made.
"""

from dynsample.groups.base import Group, GroupError
from dynsample.groups.launch import as_group, found_again
from dynsample.groups.mpi import mpi
from dynsample.groups.simulated import simulate
from dynsample.groups.single import single
from dynsample.groups.torch import torch

__all__ = ["Group", "GroupError", "as_group", "found_again", "mpi", "simulate", "single", "torch"]
