"""Tensors between ranks: by NCCL where the process group has it, else through the host."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dynsample.groups.base import GroupError

if TYPE_CHECKING:
    import torch
    from torch.distributed import ProcessGroup, Work

    from dynsample.groups import Group


def send_tensors(
    group: Group, values: torch.Tensor, sizes: Sequence[int], what: str
) -> torch.Tensor:
    """Send consecutive parts of a tensor, one to each rank; return what came, by rank."""
    import torch
    import torch.distributed as dist

    if (nccl := _nccl(group, values)) is None:
        came = group.exchange(values.cpu().numpy(), np.array(sizes), what)
        return torch.from_numpy(came).to(values.device)
    counts = group.exchange(np.array(sizes, np.int64), np.ones(group.size, np.int64), what)
    received = values.new_empty(int(counts.sum()))
    _wait(
        group, what,
        lambda: dist.all_to_all_single(
            received, values, counts.tolist(), list(sizes), group=nccl, async_op=True
        ),
    )  # fmt: skip
    return received


def gather_tensors(group: Group, values: torch.Tensor, what: str) -> torch.Tensor:
    """Gather the tensors of all ranks on every rank, one after the other."""
    import torch
    import torch.distributed as dist

    if (nccl := _nccl(group, values)) is None:
        came = np.concatenate(group.all_gather(values.cpu().numpy(), what))
        return torch.from_numpy(came).to(values.device)
    sizes = np.concatenate(group.all_gather(np.array([len(values)]), what))
    padded = values.new_zeros(int(sizes.max()))
    padded[: len(values)] = values
    received = values.new_empty(len(padded) * group.size)
    _wait(
        group, what,
        lambda: dist.all_gather_into_tensor(received, padded, group=nccl, async_op=True),
    )  # fmt: skip
    rows = received.view(group.size, len(padded))
    return torch.cat([row[:size] for row, size in zip(rows, sizes.tolist(), strict=True)])


def _nccl(group: Group, values: torch.Tensor) -> ProcessGroup | None:
    """Process group that carries CUDA tensors; None where they go through the host."""
    return group.device_group if values.is_cuda else None


def _wait(group: Group, what: str, start: Callable[[], Work | None]) -> None:
    """Wait for a collective no longer than the group's time limit."""
    work, deadline = start(), time.monotonic() + group.time_limit
    assert work is not None  # of a rank of the group
    while not work.is_completed():
        if time.monotonic() > deadline:
            raise GroupError(group._waited(what))
        time.sleep(50e-6)
    work.wait()
