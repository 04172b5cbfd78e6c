"""Coins by share, and powers, on a device: what `dynsample.ops` gives, and the parts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels.arguments import checked_power, checked_rows
from dynsample.kernels.cuda.device import device_of
from dynsample.kernels.cuda.draw import refuse_negative

if TYPE_CHECKING:
    import torch

NUM_BINS = 1000  # kCdfBins


def cdf_counts(
    values: torch.Tensor, where: torch.Tensor | None, low: float, high: float
) -> NDArray[np.uint64]:
    """Finite rows by bin between the extremes: uint64[1000]."""
    import torch

    values, where = checked_rows(values, where)
    device = device_of(values)
    counts = device.zeros(NUM_BINS, torch.int64)
    device.call(device.kernels.cdf_counts, values, where, len(values), low, high, counts)
    found: NDArray[np.uint64] = counts.cpu().numpy().view(np.uint64)
    return found


def cdf_keep(
    values: torch.Tensor,
    where: torch.Tensor | None,
    low: float,
    high: float,
    counts: NDArray[np.uint64],
    beta: float,
    seed: int,
    epoch: int,
    first: int,
) -> torch.Tensor:
    """Which of the rows first, ... are kept, bool[N], by the counts of all rows."""
    import torch

    if first % 4:
        raise ValueError("first must be a multiple of 4")
    values, where = checked_rows(values, where)
    device = device_of(values)
    keep_below = device.put(_core.cdf_thresholds(counts, beta))
    kept = device.empty(len(values), torch.bool)
    device.call(
        device.kernels.cdf_keep,
        values,
        where,
        len(values),
        low,
        high,
        keep_below,
        seed,
        epoch,
        first,
        kept,
    )
    return kept


def power(values: torch.Tensor, exponent: float) -> torch.Tensor:
    """`values ** exponent`, float32[N]: `ops.power`."""
    import torch

    values, exponent = checked_power(values, exponent)
    device = device_of(values)
    out = device.empty(len(values), torch.float32)
    negative = device.call_with_scratch(device.kernels.power, values, len(values), exponent, out)
    refuse_negative("values", values, negative)
    return out


def exp(values: torch.Tensor) -> torch.Tensor:
    """`e ** values`, float32[N], with the bits that a CPU gives."""
    import torch

    device = device_of(values)
    values = values.contiguous()
    out = device.empty(len(values), torch.float32)
    device.call(device.kernels.exp, values, len(values), out)
    return out
