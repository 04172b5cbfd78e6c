"""Making a store: the relabel phase, an epoch at a time, each whole or absent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynsample.disk.files import as_folder
from dynsample.kernels import Array
from dynsample.kernels.checks import integer
from dynsample.kernels.convert import as_ids, is_tensor, to_host
from dynsample.payload.epoch_file import (
    PayloadError,
    epoch_of,
    epochs_in,
    name_of,
    read_header,
    written,
)
from dynsample.payload.facts import Facts


class Writer:
    """Writes epochs into a store; one that is interrupted is absent, the others stay.

    Several processes may write different epochs of one store.

    Parameters
    ----------
    path : path
        A folder; made when it is not there. Epochs that it holds must have the same facts.
    facts : Facts

    Raises
    ------
    PayloadError
        When the folder holds epochs of something else.

    Examples
    --------
    >>> facts = ds.payload.Facts(4, num_classes=3, crops=False)
    >>> writer = ds.payload.Writer("store", facts)
    >>> with writer.epoch(0) as rows:
    ...     rows.add(np.arange(4), np.eye(4, 3, dtype=np.float16))
    >>> writer.missing(2)
    [1]
    """

    def __init__(self, path: str | os.PathLike[str], facts: Facts) -> None:
        self.path, self.facts = as_folder(path), facts
        self.path.mkdir(parents=True, exist_ok=True)
        for file in epochs_in(self.path)[:1]:
            found = read_header(file, epoch_of(file)).facts
            if found != facts:
                raise PayloadError(f"{file} is of another store: {found.differences(facts)}")

    def missing(self, num_epochs: int) -> list[int]:
        """Epochs below `num_epochs` that are not written yet."""
        return [e for e in range(num_epochs) if not (self.path / name_of(e)).exists()]

    @contextlib.contextmanager
    def epoch(self, epoch: int) -> Iterator[EpochWriter]:
        """Fill an epoch: `with writer.epoch(e) as rows: rows.add(index, logits, **view)`.

        At the end of the block every sample must have been added, once; the epoch then takes the
        place of an earlier one. When the block fails the store is as it was.
        """
        epoch = integer(epoch, "epoch", 0, 99_999)
        with written(self.path / name_of(epoch), self.facts, epoch) as columns:
            rows = EpochWriter(self.facts, epoch, columns)
            yield rows
            rows.check_whole()


class EpochWriter:
    """Takes the rows of one epoch, in any order and batch size."""

    def __init__(self, facts: Facts, epoch: int, columns: dict[str, NDArray[Any]]) -> None:
        self.facts, self.epoch = facts, epoch
        self._columns = columns
        self._added = np.zeros(facts.num_samples, np.bool_)

    def add(self, index: Array, logits: ArrayLike, **view: ArrayLike) -> None:
        """Keep what the teacher saw of a batch, and said.

        Parameters
        ----------
        index : int[B]
        logits : float[B, C]
            Raw outputs of the teacher on the mixed images.
        **view
            `crop`, `flip`, `partner`, `lam`, `box`, `partner_crop`, `partner_flip`, as a loader
            with `payload=Views(...)` gives them; those that the facts ask for.
        """
        ids = self._ids(index)
        wanted = self.facts.view_columns()
        if set(view) != set(wanted):
            raise TypeError(
                f"a view must have {', '.join(wanted) or 'no columns'} with crops="
                f"{self.facts.crops} and mix={self.facts.mix!r}, got {', '.join(view) or 'none'}"
            )
        rows = {
            name: _rows(view[name], name, (len(ids), *shape), dtype)
            for name, (dtype, shape) in wanted.items()
        }
        self.facts.check_view(rows)
        shape = (len(ids), self.facts.num_classes)
        said = _rows(logits, "logits", shape, "float32")
        if not np.isfinite(said).all():
            raise ValueError(f"logits must be finite, got {said[~np.isfinite(said)][0]}")
        rows |= self.facts.codec.encode(said)
        for name, values in rows.items():
            self._columns[name][ids] = values
        self._added[ids] = True

    def _ids(self, index: Array) -> NDArray[np.int64]:
        ids = as_ids(to_host(index))
        n = self.facts.num_samples
        if len(ids) and not (ids.min() >= 0 and ids.max() < n):
            raise IndexError(f"index must hold ids in [0, {n}), got {ids.min()} to {ids.max()}")
        twice = len(ids) - len(np.unique(ids)) + int(self._added[ids].sum())
        if twice:
            raise ValueError(
                f"index must hold each sample once an epoch, got {twice} again in epoch "
                f"{self.epoch}: the relabel phase needs every sample once"
            )
        return ids

    def check_whole(self) -> None:
        """Raise when samples were not added."""
        missing = np.flatnonzero(~self._added)
        if len(missing):
            raise PayloadError(
                f"epoch {self.epoch} was not written: {len(missing)} of {len(self._added)} samples "
                f"were not added, the first is {missing[0]}"
            )


def _rows(values: ArrayLike, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Return an array of this shape and dtype; a kind of number that would lose is an error."""
    array = values.detach().float() if is_tensor(values) and name == "logits" else values
    array = np.asarray(to_host(array))
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {list(shape)}, got {list(array.shape)}")
    wanted = np.dtype(dtype)
    same_kind = np.can_cast(array.dtype, wanted, "same_kind")
    if not same_kind:
        raise TypeError(f"{name} must have dtype {wanted}, got {array.dtype}")
    return array.astype(wanted)
