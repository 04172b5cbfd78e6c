"""Checks of tensors: the messages are those of `dynsample.ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynsample._arrays import is_tensor

if TYPE_CHECKING:
    import torch


def column(value: Any, name: str, dtype: torch.dtype) -> torch.Tensor:
    """Give `value` as a one-dimensional, contiguous tensor of exactly `dtype`."""
    if not is_tensor(value):
        raise TypeError(f"{name} must be a torch tensor, got {type(value).__name__}")
    tensor: torch.Tensor = value
    if tensor.dtype != dtype:
        wanted, found = (str(kind).removeprefix("torch.") for kind in (dtype, tensor.dtype))
        raise TypeError(f"{name} must have dtype {wanted}, got {found}")
    if tensor.dim() != 1:
        raise ValueError(f"{name} must have one dimension, got shape {tuple(tensor.shape)}")
    return tensor.detach().contiguous()


def rows_of(where: torch.Tensor | None, values: torch.Tensor) -> torch.Tensor | None:
    """Give the mask of the rows of `values` that take part; None when all do."""
    import torch

    if where is None:
        return None
    rows = column(where, "where", torch.bool)
    if len(rows) != len(values):
        raise ValueError(f"where must have shape ({len(values)},), got ({len(rows)},)")
    if rows.device != values.device:
        raise ValueError(f"where must be on {values.device}, as the values, got {rows.device}")
    return rows
