"""Reading a store: views and logits of any samples of an epoch, from memory-mapped columns."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import ops
from dynsample.kernels import Array
from dynsample.kernels.checks import MAX_EPOCH, boolean, integer
from dynsample.payload.epoch_file import (
    Arrays,
    Opened,
    PayloadError,
    checksum,
    epochs_in,
    name_of,
    open_columns,
    read_header,
)

_KEPT_OPEN = 2  # epochs: a prefetching loader is in the next one already


class Store:
    """What a teacher saw and said, by epoch and sample.

    Parameters
    ----------
    path : path
    fingerprint : str, optional
        That of your data set; the store must have the same.
    verify : bool
        Compare every column with its checksum, which reads the store once. Lengths, headers and
        facts are checked in any case.

    Attributes
    ----------
    facts : Facts
    num_epochs : int

    Raises
    ------
    PayloadError
        When the store is damaged, has gaps, or is of another data set.

    Examples
    --------
    >>> facts = ds.payload.Facts(4, num_classes=3, crops=False)
    >>> with ds.payload.Writer("store", facts).epoch(0) as rows:
    ...     rows.add(np.arange(4), np.eye(4, 3, dtype=np.float16))
    >>> ds.payload.Store("store").batch(0, np.array([2, 0]))["logits"]
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float16)
    """

    def __init__(
        self, path: str | os.PathLike[str], *, fingerprint: str | None = None, verify: bool = True
    ) -> None:
        self.path = Path(path)
        files = epochs_in(self.path) if self.path.is_dir() else []
        if not files:
            raise PayloadError(f"{path} holds no payload: no file epoch-00000.safetensors")
        self.num_epochs = len(files)
        self._open: OrderedDict[int, Opened] = OrderedDict()
        if missing := [e for e in range(len(files)) if not (self.path / name_of(e)).exists()]:
            raise PayloadError(f"{self.path / name_of(missing[0])} is missing: later epochs exist")
        self.facts = read_header(files[0], 0)[0]
        for epoch, file in enumerate(files):
            other = read_header(file, epoch)[0]
            if other != self.facts:
                raise PayloadError(
                    f"{file} is of another store than epoch 0: {other.differences(self.facts)}"
                )
        if fingerprint is not None:
            self.check_fingerprint(fingerprint)
        if boolean(verify, "verify"):
            for epoch in range(self.num_epochs):
                self._verify(epoch)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_open": OrderedDict()}  # a worker maps the files itself

    def check_fingerprint(self, fingerprint: str) -> None:
        """Raise when the store was made for another data set."""
        if fingerprint != self.facts.fingerprint:
            raise PayloadError(
                f"{self.path} was made for a data set of fingerprint "
                f"{self.facts.fingerprint or '(none)'}, yours is {fingerprint}: other samples, "
                "labels, or another order of them"
            )

    def require(self, num_epochs: int) -> None:
        """Raise when training of `num_epochs` asks for more than there is."""
        if num_epochs > self.num_epochs:
            raise PayloadError(
                f"training asks for {num_epochs} epochs, {self.path} holds {self.num_epochs}: "
                "relabel more, or train less"
            )

    def batch(self, epoch: int, index: Array) -> dict[str, NDArray[Any]]:
        """Return views and logits of a batch.

        Parameters
        ----------
        epoch : int in [0, num_epochs)
        index : int64[B]
            Ids in any order; repeated ones are fine.

        Returns
        -------
        dict
            With crops `crop`, float32[B, 4] of (top, left, height, width) as shares of the image,
            and `flip`, bool[B]. With a mix `partner`, int64[B], `lam`, float64[B], and of the
            partner `partner_crop` and `partner_flip`. With cutmix `box`, int32[B, 4] of
            (x1, y1, x2, y2): rows x1 to x2 and columns y1 to y2 are the partner's. Always `logits`,
            float16[B, C] or, where they were quantised or cut, float32.
        """
        columns = self.columns(epoch)
        rows = ops.gather_rows(list(columns.values()), index)
        found = dict(zip(columns, rows, strict=True))
        views = {name: found[name] for name in self.facts.view_columns()}
        return {**views, "logits": self.facts.codec.decode(found)}

    def read_ahead(self, epoch: int, index: Array | None = None) -> None:
        """Ask the system to read these samples, or all of the epoch, in the background."""
        columns = list(self.columns(epoch).values())
        if index is None:
            _read_whole(columns)
        else:
            ops.read_ahead(columns, index)

    def columns(self, epoch: int) -> Arrays:
        """All samples of an epoch, mapped: the columns as they are kept."""
        number = integer(epoch, "epoch", 0, MAX_EPOCH)
        if number >= self.num_epochs:
            self.require(number + 1)
        if number not in self._open:
            while len(self._open) >= _KEPT_OPEN:
                self._open.popitem(last=False)
            opened = open_columns(self.path / name_of(number), number)
            if opened.facts != self.facts:
                raise PayloadError(f"{self.path / name_of(number)} was replaced by another store's")
            # few bytes a row
            _read_whole([opened.columns[name] for name in self.facts.view_columns()])
            self._open[number] = opened
        self._open[number].check_length(self.path / name_of(number))
        return self._open[number].columns

    def _verify(self, epoch: int) -> None:
        columns, file = self.columns(epoch), self.path / name_of(epoch)
        sums = self._open[epoch].sums
        for name, column in columns.items():
            if checksum(column, before=_read_whole) != sums[name]:
                raise PayloadError(f"{file} is damaged: {name} does not have its checksum")
        try:
            self.facts.check_view({name: columns[name] for name in self.facts.view_columns()})
            self.facts.codec.check(columns)
        except (ValueError, IndexError) as error:
            raise PayloadError(f"{file} is damaged: {error}") from None


def _read_whole(columns: Iterable[NDArray[Any]]) -> None:
    """Ask the system for all of some columns: each is one row here."""
    for column in columns:
        ops.read_ahead([column.reshape(1, -1)], np.zeros(1, np.int64))
