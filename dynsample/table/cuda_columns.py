"""Values of columns on a device: the arithmetic of `Column.value`, operation by operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dynsample.table.columns import EMA, Column, Last, Mean, Transitions, Uncertainty, Window

if TYPE_CHECKING:
    import torch


def value(column: Column, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Give a table's value of a column, float32[N], of the same bits as on the CPU.

    Every line is one operation of IEEE arithmetic on whole tensors, so that nothing is contracted,
    and no tensor is divided by a number, which torch does on a GPU by the reciprocal.
    """
    if isinstance(column, (Last, EMA)):
        return parts["value"]
    if isinstance(column, Mean):
        return (parts["sum"] / parts["count"].double()).float()
    if isinstance(column, Window):
        return _deviation(parts["values"], parts["count"], column.size)
    if isinstance(column, Uncertainty):
        windows = parts["count"].double() - column.size
        mean = (parts["sum"] / windows).float()
        return mean.masked_fill(windows <= 0, float("nan"))
    if isinstance(column, Transitions):
        return parts["transitions"].float()
    raise TypeError(f"a table on a device has no columns of kind {type(column).__name__}")


def _deviation(values: torch.Tensor, observed: torch.Tensor, size: int) -> torch.Tensor:
    import torch

    count = observed.clamp(max=size)
    number = count.double()
    total = torch.zeros_like(number)
    for slot in range(size):
        total += values[:, slot].double().masked_fill(slot >= count, 0.0)
    mean = total / number
    squares = torch.zeros_like(number)
    for slot in range(size):
        off = values[:, slot].double() - mean
        squares += (off * off).masked_fill(slot >= count, 0.0)
    variance = squares / (number - 1.0)
    return variance.sqrt().float().masked_fill(count <= 1, float("nan"))
