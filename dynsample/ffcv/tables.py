"""Rows by index that the FFCV loader adds to its batches: the user's tables, a store's logits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from dynsample.payload import Store
from dynsample.payload.source import check_source


def as_tables(extras: Mapping[str, Any], num_samples: int) -> dict[str, torch.Tensor]:
    """Check the `extras` of a loader: a row for each sample."""
    tables = {}
    for name, values in extras.items():
        table = values if isinstance(values, torch.Tensor) else torch.from_numpy(np.asarray(values))
        if not table.dim() or len(table) != num_samples:
            raise ValueError(
                f"extras[{name!r}] must have a row for each of the {num_samples} samples, got "
                f"shape {tuple(table.shape)}"
            )
        tables[name] = table.detach()
    return tables


def as_store(payload: Any, num_samples: int) -> Store | None:
    """Check the `payload` of a loader, and say when FFCV cannot show what the teacher saw."""
    if payload is None:
        return None
    if not isinstance(payload, Store):
        raise TypeError(f"payload must be a Store, got {type(payload).__name__}")
    check_source(payload, num_samples)
    if payload.facts.view_columns():
        warnings.warn(
            "FFCV takes no crop, flip or partner of a sample: this loader gives the logits of "
            f"{payload.path} alone, beside images that the teacher did not see. "
            "dynsample.torch.DataLoader and dynsample.dali replay them; a store of whole images "
            "(crops=False, mix='none') is exact here",
            RuntimeWarning,
            stacklevel=4,
        )
    return payload


def rows(
    tables: Mapping[str, torch.Tensor], store: Store | None, epoch: int, index: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Rows of a batch: those of the tables in their order, then the logits."""
    for table in tables.values():
        yield table.index_select(0, index.to(table.device))
    if store is not None:
        yield torch.from_numpy(store.batch(epoch, index.numpy())["logits"])
