"""The index in a batch: fetched with the samples, and joined to what is made of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence
from typing import TypeAlias, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, default_collate

Ids: TypeAlias = NDArray[np.int64] | list[int]  # a list where a stock loader batches
Fields: TypeAlias = tuple[object, ...] | MutableSequence[object]


class IndexedDataset(Dataset[object]):
    """Fetches the samples of a batch together with their ids."""

    def __init__(self, dataset: Dataset[object]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # map-style ones have it

    def __getitems__(self, index: Ids) -> tuple[object, NDArray[np.int64]]:
        index = np.asarray(index, np.int64)
        ids = index.tolist()
        if getitems := getattr(self.dataset, "__getitems__", None):
            return getitems(ids), index
        return [self.dataset[i] for i in ids], index


class IndexedCollate:
    """Collates as asked, and joins the index to the batch.

    Parameters
    ----------
    collate : callable
    name : str
        Key of the index in a mapping.
    """

    def __init__(self, collate: Callable[[object], object], name: str) -> None:
        self.collate, self.name = collate, name

    def __call__(self, fetched: tuple[object, NDArray[np.int64]]) -> object:
        """Return the batch with its index, as the docstring of the DataLoader says."""
        samples, ids = fetched
        batch, index = self.collate(samples), torch.from_numpy(ids)
        if isinstance(batch, Mapping):
            return _with_key(batch, self.name, index)
        if self._has_fields(batch, samples):
            return _with_field(batch, index)
        return batch, index

    def _has_fields(self, batch: object, samples: object) -> TypeGuard[Fields]:
        """Whether a batch is made of fields; a field has as many rows as there are samples."""
        if not isinstance(batch, (tuple, MutableSequence)) or hasattr(batch, "_fields"):
            return False
        if isinstance(samples, list) and _same_items(batch, samples):
            return False
        # Functions return several mappings as a tuple, and keep samples in a list.
        mapping = isinstance(batch, tuple) or self.collate is default_collate
        kinds = (torch.Tensor, np.ndarray, tuple, list, *([Mapping] if mapping else []))
        return any(isinstance(field, kinds) for field in batch)


def _same_items(batch: Fields, samples: list[object]) -> bool:
    same = zip(batch, samples, strict=False)
    return len(batch) == len(samples) and all(here is there for here, there in same)


def _with_key(batch: Mapping[object, object], name: str, index: torch.Tensor) -> object:
    """Return a copy of a mapping with the index in it, of the same class where that can be had."""
    if name in batch:
        raise ValueError(
            f"the batch has a key {name!r} of its own: choose another one for the index, as in "
            f'DataLoader(..., index_name="sample_{name}")'
        )
    try:
        if isinstance(batch, MutableMapping):
            grown = copy.copy(batch)  # which keeps what else the class has; a sample stays as it is
            grown[name] = index
            return grown
        return type(batch)({**batch, name: index})  # type: ignore[call-arg]
    except TypeError:
        return {**batch, name: index}


def _with_field(batch: Fields, index: torch.Tensor) -> object:
    """Return a copy of a sequence with the index last, of the same class where that can be had."""
    try:
        if isinstance(batch, MutableSequence):
            grown = copy.copy(batch)
            grown.append(index)
            return grown
        return type(batch)((*batch, index))
    except TypeError:
        return (*batch, index)
