"""Orders, and ids out of masks and counts, on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dynsample._core import Stream
from dynsample.kernels.convert import column
from dynsample.kernels.cuda.device import Device, device_of

if TYPE_CHECKING:
    import torch


def order_slice(
    device: Device,
    n: int,
    ids: torch.Tensor | None,
    *,
    seed: int,
    epoch: int,
    start: int = 0,
    stop: int | None = None,
    stream: int = Stream.ORDER,
) -> torch.Tensor:
    """`ids[permute(n, ...)]` as int32[stop - start], or the permutation itself for no ids."""
    import torch

    stop = n if stop is None else stop
    out = device.empty(stop - start, torch.int32)
    device.call(device.kernels.order_slice, n, seed, epoch, stream, ids, start, stop - start, out)
    return out


def mark_slice(
    mask: torch.Tensor, *, seed: int, epoch: int, start: int, stop: int, stream: int
) -> None:
    """Set the rows at positions [start, stop) of a permutation of all rows."""
    device = device_of(mask)
    device.call(
        device.kernels.mark_slice, len(mask), seed, epoch, stream, start, stop - start, mask
    )


def mask_ids(mask: torch.Tensor, *, invert: bool = False, size: int | None = None) -> torch.Tensor:
    """Ids of the rows that are set, or of the others, ascending: int32[count].

    Waits for the count, but where it is known: then it is `size`.
    """
    import torch

    mask = column(mask, "mask", np.bool_)
    device = device_of(mask)
    ids, count = device.empty(len(mask), torch.int32), device.zeros(1, torch.int32)
    device.call_with_scratch(device.kernels.select_ids, mask, invert, len(mask), ids, count)
    size = int(count) & 0xFFFFFFFF if size is None else size
    return ids[:size].clone()


def repeat_rows(counts: torch.Tensor, total: int) -> torch.Tensor:
    """Every row as often as int32[N] `counts` says, `total` in all, ascending: int32[total]."""
    import torch

    counts = counts.contiguous()
    device = device_of(counts)
    out = device.empty(total, torch.int32)
    if total:
        device.call_with_scratch(device.kernels.repeat_rows, counts, len(counts), total, out)
    return out
