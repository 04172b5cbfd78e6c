"""Observations not yet folded, and their fold into the columns."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels.checks import MAX_SAMPLES, integer
from dynsample.kernels.convert import (
    KINDS,
    admitted,
    as_ids,
    check_ids,
    is_real,
    is_tensor,
    to_host,
)
from dynsample.signals import NAMES
from dynsample.table.column import Column, native

MAX_BYTES = 2**34

# Shift of the rows of a block, whether tickets are in the records, and signals: number, as a bit.
Layout = tuple[int, bool, list[tuple[int, bool]]]
HostParts: TypeAlias = Mapping[str, Mapping[str, NDArray[Any]]]
FoldSpec = tuple[str, int, float, dict[str, NDArray[Any]]]
Packed = tuple[NDArray[np.uint32], NDArray[np.uint64]]  # records, and where each block starts


class Portion(NamedTuple):
    """Observations of a log that a fold treats alike.

    Attributes
    ----------
    epoch : int
        Their epoch: columns with ``until <= epoch`` take nothing.
    tickets : int64[n], below 2**32, optional
        Position of each observation of the log in the order of the epoch; below zero: not of the
        portion. Without them all are, and the call order counts.
    superseded : bool
        The table has observations of their rows of a newer epoch: ordered columns take nothing.
    by_ticket : bool
        Whether a row may have several of them on different ranks.
    """

    epoch: int
    tickets: NDArray[np.int64] | None = None
    superseded: bool = False
    by_ticket: bool = True


def portions_of(
    tickets: NDArray[np.int64], epochs: NDArray[np.int64], superseded: NDArray[np.bool_]
) -> list[Portion]:
    """Return the portions of observations of several epochs, in the order of their fold."""
    portions = []
    for epoch in np.unique(epochs[tickets >= 0]).tolist():
        for which in (False, True):
            here = (epochs == epoch) & (superseded == which) & (tickets >= 0)
            portions.append(Portion(epoch, np.where(here, tickets, -1), which))
    return portions or [Portion(0, np.full(len(tickets), -1))]


class ObservationLog:
    """Rows of the table and their signals, in call order.

    A log has two parts. `append` adds to the open one, from any number of threads; `close` puts
    that behind the closed one, which is what is read, and what a fold applies and drops. So what is
    appended while an epoch ends is neither lost nor half seen: it waits for the next close.

    Parameters
    ----------
    num_samples : int in [0, 2**32)
        Rows of the table.
    signals : sequence of str
        Signals kept of every observation, as float32; memory is about 4 + 4 * S bytes each.
    max_bytes : int
        What the log may hold; an observation beyond it is an error.

    Attributes
    ----------
    native : _core.ObservationLog
    """

    on_device: Literal[False] = False

    def __init__(
        self, num_samples: int, signals: Sequence[str], max_bytes: int = MAX_BYTES
    ) -> None:
        self.num_samples = integer(num_samples, "num_samples", 0, MAX_SAMPLES)
        self.signals = tuple(signals)
        if len(set(self.signals)) != len(self.signals):
            raise ValueError(f"signals must differ, got {self.signals}")
        self.native = _core.ObservationLog(self.num_samples, list(self.signals), max_bytes)

    def append(self, index: object, signals: Mapping[str, object], plan: int | None = None) -> None:
        """Append one batch: all of it, or nothing on an error.

        Parameters
        ----------
        index : int[B]
            Ids; of any library. Contiguous int64 and float32 on the CPU is read in place.
        signals : mapping of str to array [B] or [B, 1]
            At least the log's signals; others are ignored. Any real dtype becomes float32.
        plan : int, optional
            The epoch that the batch names; it must be among those of `set_allowed`.

        Raises
        ------
        IndexError
            An id out of range; the first is named.
        ValueError
            An id not issued, a missing signal, other lengths, a loss that was reduced.
        TypeError
            Something that is no array, or not of a real (for the index: integer) dtype.
        """
        if not self.append_in_place(index, signals, plan):
            self._convert_and_append(index, signals, plan)

    def append_in_place(
        self, index: object, signals: Mapping[str, object], plan: int | None = None
    ) -> bool:
        """Append when the arrays can be read as they are; False, with nothing done, when not."""
        if plan is None:
            return self.native.append(index, signals)
        return self.native.append_of(index, signals, plan)

    def _convert_and_append(
        self, index: object, signals: Mapping[str, object], plan: int | None
    ) -> None:
        if missing := [name for name in self.signals if name not in signals]:
            raise lacking(missing, signals)
        ids = _index(index)
        converted = {name: _signal(signals[name], name) for name in self.signals}
        for name, values in converted.items():
            if len(values) != len(ids):
                raise ValueError(
                    f"{name} must have one value per id: it has {len(values)}, index {len(ids)}"
                )
        if not self.append_in_place(ids, converted, plan):
            raise AssertionError("the log refused arrays that were made for it")

    def set_rows(self, row_of: NDArray[np.int32] | None) -> None:
        """Map ids to rows, int32[num_ids], -1 for an id that has none; None: an id is its row."""
        self.native.set_rows(row_of)

    def set_allowed(
        self,
        allowed: NDArray[np.bool_] | None,
        plans: Mapping[int, NDArray[np.bool_] | None] | None = None,
    ) -> None:
        """Refuse ids whose row is False in `allowed`, bool[num_samples]; None allows all.

        In a batch that names one of `plans` those that are False in its array. The arrays are
        borrowed: a change of them counts from the next call on.
        """
        self.native.set_allowed(allowed, [*(plans or {}).items()])

    def named(self) -> NDArray[np.int64] | None:
        """Return the plan that each observation of the closed part names, int64[n]; -1: none.

        None when no observation names any.
        """
        return self.native.named()

    def rows_of(self, index: object) -> NDArray[np.uint32]:
        """Return the rows of ids, uint32[B]; refuse what `append` refuses, with the same errors."""
        rows = self.native.rows_of(index)
        if rows is None:
            rows = self.native.rows_of(_index(index))
        assert rows is not None
        return rows

    def weights(self, index: object, weights: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return the weights of ids; refuse what `append` refuses, with the same errors.

        Parameters
        ----------
        index : int[B]
            Ids, as `append` takes them.
        weights : float32[num_samples] or None
            Weight of every row; None is 1 for all.

        Returns
        -------
        float32[B]
        """
        values = self.native.weights(index, weights)
        if values is None:
            values = self.native.weights(_index(index), weights)
        assert values is not None
        return values

    def close(self) -> None:
        """Put the open part behind the closed one; what is appended from now on waits."""
        self.native.close()

    def __len__(self) -> int:
        """Observations of both parts."""
        return len(self.native)

    @property
    def num_closed(self) -> int:
        """Observations of the closed part."""
        return self.native.num_closed

    @property
    def num_folded(self) -> int:
        """Observations that left the log as folded since the last `clear` or `restore`."""
        return self.native.num_folded

    def index(self) -> NDArray[np.uint32]:
        """Rows of the closed part in call order, uint32[n]; a copy."""
        return self.native.index()

    def signal(self, name: str) -> NDArray[np.float32]:
        """Values of one signal in the closed part, in call order, float32[n]; a copy."""
        if name not in self.signals:
            raise ValueError(f"signal must be one of {self.signals}, got {name!r}")
        return self.native.signal(self.signals.index(name))

    def non_finite(self) -> int:
        """Values of all signals that are NaN or infinite."""
        return self.native.non_finite()

    def binary(self) -> list[bool]:
        """Whether every observation of a signal, in their order, is 0 or 1."""
        return self.native.binary()

    def refusals(self) -> str:
        """Say what could not be refused in the step: nothing, but on a device."""
        return ""

    def reserve(self, count: int) -> None:
        """Make room for `count` observations in the open part."""
        self.native.reserve(count)

    def clear(self) -> None:
        """Drop both parts, and set `num_folded` to 0; the memory is kept."""
        self.native.clear()

    def drop_closed(self, *, folded: bool = True) -> None:
        """Drop the closed part, which counts in `num_folded` when it was folded."""
        self.native.drop_closed(folded)

    def restore(
        self, index: NDArray[np.uint32], signals: Mapping[str, object], num_folded: int = 0
    ) -> None:
        """Replace all content by a closed part: what `index()` and `signal(name)` gave, in rows."""
        if missing := [name for name in self.signals if name not in signals]:
            raise ValueError(f"signals lack {', '.join(map(repr, missing))}")
        values = [_signal(signals[name], name) for name in self.signals]
        self.native.restore(index, values, num_folded)


def _register_torch() -> None:
    _core.register_torch(sys.modules["torch"])


def _index(value: object) -> NDArray[np.int64]:
    if is_tensor(value):
        _register_torch()
        check_ids(value)
        value = to_host(value)
    return as_ids(value)


def _signal(value: object, name: str) -> NDArray[np.float32]:
    if is_tensor(value):
        _register_torch()
        if value.is_complex():
            raise TypeError(f"{name} must have a real dtype, got {value.dtype}")
        value = value.detach().resolve_neg().cpu().to(sys.modules["torch"].float32).numpy()
    value = admitted(value, name)
    if isinstance(value, (np.ndarray, np.generic, float, int)) and np.ndim(value) == 0:
        raise ValueError(
            f"{name} must have one value per sample, got a single number: "
            f'the loss function lacks reduction="none"'
        )
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be {KINDS}, got {type(value).__name__}")
    if not is_real(value):
        raise TypeError(f"{name} must have a real dtype, got {value.dtype}")
    if value.ndim == 2 and value.shape[1] == 1:
        value = value[:, 0]
    if value.ndim != 1:
        raise ValueError(f"{name} must have shape [B] or [B, 1], got {value.shape}")
    with np.errstate(over="ignore"):  # too large for float32: infinite
        return np.require(value, np.float32, ["C", "A", "E"])


def lacking(missing: Collection[str], given: Iterable[str]) -> ValueError:
    """Make the error for an observation that lacks signals; it says what would bring them."""
    cure = "; logits= and targets= bring them" if set(missing) <= set(NAMES) else ""
    return ValueError(
        f"signals lack {', '.join(map(repr, missing))}; given: "
        f"{', '.join(map(repr, given)) or 'none'}{cure}"
    )


def fold(
    log: ObservationLog,
    columns: Mapping[str, Column],
    parts: HostParts,
    seen: NDArray[np.bool_],
    *,
    epoch: int,
    tickets: NDArray[np.int64] | None = None,
) -> None:
    """Apply the closed part of a log to the columns, by (row, ticket), in place, and drop it.

    Both are one step, which no interrupt divides. When an argument does not fit, nothing is done.

    Parameters
    ----------
    log : ObservationLog
    columns : mapping of str to Column
        Those with ``until <= epoch`` take nothing.
    parts : mapping of str to mapping of str to array
        The arrays of each column, as its `allocate` made them; written to.
    seen : bool[N]
        Set for the rows that were observed.
    epoch : int
        The epoch of the observations.
    tickets : int64[log.num_closed], below 2**32, optional
        Position of each observation in the epoch's order; below zero: padded, dropped. Without
        them the call order counts.
    """
    fold_portions(log, columns, parts, seen, [Portion(epoch, tickets)])


def fold_portions(
    log: ObservationLog,
    columns: Mapping[str, Column],
    parts: HostParts,
    seen: NDArray[np.bool_],
    portions: Sequence[Portion],
) -> None:
    """Fold portions of a log one after the other, as one step; see `fold`."""
    given = [
        (fold_specs(log.signals, columns, parts, each.epoch, each.superseded), each.tickets)
        for each in portions
    ]
    _core.fold(log.native, given, seen)


def pack(log: _core.ObservationLog, layout: Layout, tickets: NDArray[np.int64] | None) -> Packed:
    """Sort the closed part of a log into blocks of rows, without those of a ticket below zero."""
    return _core.pack(log, layout, tickets)


def fold_specs(
    signals: Sequence[str],
    columns: Mapping[str, Column],
    parts: HostParts,
    epoch: int,
    superseded: bool = False,
) -> list[FoldSpec]:
    """Describe the columns that take observations of `epoch` to the native fold."""
    specs = []
    for name, column in columns.items():
        if not column.observed:
            continue
        signal = column.signal or name
        if signal not in signals:
            raise ValueError(f"column {name!r} needs signal {signal!r}; the log has {signals}")
        if column.takes(epoch, superseded=superseded):
            specs.append(native(column, signals.index(signal), parts[name]))
    return specs
