"""The memory of a log on a device, and what is done with it between epochs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels import Array
from dynsample.kernels.cuda.device import Device
from dynsample.table.cuda_counts import Counts
from dynsample.table.cuda_observation import on_device, read_index
from dynsample.table.log import ObservationLog

REFUSED = -1  # instead of a row


@dataclass(frozen=True)
class Memory:
    """Room for observations: int32[capacity] rows, and float32[S, capacity] values."""

    rows: torch.Tensor
    values: torch.Tensor

    @classmethod
    def empty(cls, device: Device, num_signals: int, capacity: int) -> Memory:
        """Allocate without a content."""
        values = device.empty(num_signals * capacity, torch.float32)
        return cls(device.empty(capacity, torch.int32), values.reshape(num_signals, capacity))

    def __len__(self) -> int:
        return len(self.rows)


class LogMemory:
    """Observations in device memory, and a header of fixed address that says where they are.

    There are two memories, of which one is open and the other closed; see `ObservationLog`. Every
    method waits for the device, but `rows_of`.

    Attributes
    ----------
    parts : LogParts
        Which memory is open, and how much is in the closed one.
    """

    on_device: Literal[True] = True

    def __init__(
        self, device: Device, num_samples: int, signals: Sequence[str], max_bytes: int
    ) -> None:
        host = ObservationLog(num_samples, signals, max_bytes)  # checks them
        self.num_samples, self.signals, self.max_bytes = num_samples, host.signals, max_bytes
        self.device = device
        if len(self.signals) > device.kernels.MOST_SIGNALS:
            most = device.kernels.MOST_SIGNALS
            raise ValueError(f"signals must be at most {most} on a device, got {len(signals)}")
        self._torch_device = device.torch_device
        self._header = device.zeros(device.kernels.LOG_BYTES // 8, torch.int64)
        self._memories = [Memory.empty(device, len(self.signals), 0) for _ in range(2)]
        self.parts = device.kernels.LogParts()
        self._changing = threading.RLock()  # no append while the memories change places
        self._row_of: torch.Tensor | None = None
        self._allowed: torch.Tensor | None = None
        self._retired: list[torch.Tensor | None] = []  # masks that an append may still read
        device.call(device.kernels.load_step)
        self._point()

    @property
    def _open(self) -> Memory:
        return self._memories[self.parts.open]

    @property
    def _closed(self) -> Memory:
        return self._memories[1 - self.parts.open]

    def set_rows(self, row_of: NDArray[np.int32] | None) -> None:
        """Map ids to rows, int32[num_ids], -1 for an id that has none; None: an id is its row."""
        if row_of is not None:
            ObservationLog(self.num_samples, []).set_rows(row_of)  # checks it
        rows = None if row_of is None else self.device.put(row_of)
        with self._changing:
            self._settle()
            self._row_of = rows
            self._point()

    def set_allowed(self, allowed: Array | None) -> None:
        """Refuse ids whose row is False in `allowed`, bool[num_samples]; None allows all.

        A tensor of the device is borrowed: a change of it counts from the next call on.
        """
        self.expect(0, allowed)

    def expect(self, count: int, allowed: Array | None) -> None:
        """Make room for `count` more observations, and `set_allowed`; waits once, without growth.

        Raises
        ------
        ValueError
            As `reserve`; nothing is changed then.
        """
        mask = self._mask(allowed)
        with self._changing:
            before = self._allowed
            self._retired.append(before)
            self._allowed = mask
            try:
                self.reserve(self._point().observed + count)
            except ValueError:
                self._allowed = before
                self._point()
                raise

    def _mask(self, allowed: Array | None) -> torch.Tensor | None:
        """Return what `set_allowed` takes as a tensor of the device."""
        mask = None
        if allowed is not None:
            if str(allowed.dtype).removeprefix("torch.") != "bool" or allowed.ndim != 1:
                raise TypeError(
                    f"allowed must be bool[{self.num_samples}], got {allowed.dtype} of shape "
                    f"{tuple(allowed.shape)}"
                )
            if len(allowed) != self.num_samples:
                raise ValueError(f"allowed must have {self.num_samples} rows, got {len(allowed)}")
            if on_device(allowed, "allowed", self._torch_device):
                mask = allowed.contiguous()
            else:
                mask = self.device.put(np.asarray(allowed))
        return mask

    def rows_of(self, index: torch.Tensor) -> torch.Tensor:
        """Rows of ids on the device, int64; does not wait."""
        return index.long() if self._row_of is None else self._row_of[index].long()

    def weights(self, index: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the weights of ids on the device, float32[B]; does not wait.

        NaN for an id that an append would refuse: to say which it is, the device would have to be
        waited for.

        Parameters
        ----------
        index : int64[B] or int32[B] tensor
        weights : float32[num_samples] tensor
            Weight of every row.
        """
        given = read_index(index, self._torch_device)
        ids = (self.device.put(given) if isinstance(given, np.ndarray) else given).long()
        issued = (ids >= 0) & (ids < self.num_ids)
        rows = self.rows_of(ids.where(issued, 0))
        issued &= rows >= 0
        rows = rows.where(issued, 0)
        if self._allowed is not None:
            issued &= self._allowed[rows]
        return weights[rows].masked_fill(~issued, float("nan"))

    @property
    def num_ids(self) -> int:
        """Ids that are in range."""
        return self.num_samples if self._row_of is None else len(self._row_of)

    @property
    def capacity(self) -> int:
        """Observations that the open part has room for."""
        return len(self._open)

    def reserve(self, count: int) -> None:
        """Make room for `count` observations in the open part; what is there is kept.

        Raises
        ------
        ValueError
            When they take more than `max_bytes`.
        """
        most = self.max_bytes // (4 + 4 * len(self.signals))
        if count > most:
            raise ValueError(
                f"a log of {count} observations is beyond the {most} that max_log_bytes allows"
            )
        if count <= self.capacity:
            return
        with self._changing:
            self._settle()
            self._grow(self.parts.open, count)
            self._point()

    def _grow(self, which: int, capacity: int) -> None:
        before = self._memories[which]
        grown = Memory.empty(self.device, len(self.signals), capacity)
        grown.rows[: len(before)] = before.rows
        grown.values[:, : len(before)] = before.values
        self._memories[which] = grown

    def close(self) -> None:
        """Put the open part behind the closed one; what is appended from now on waits."""
        with self._changing:
            self._settle()
            while needed := self._close():
                self._grow(1 - self.parts.open, needed)

    def _close(self) -> int:
        to = self._closed
        return self.device.call_with_scratch(
            self.device.kernels.close_log, self._header, self.parts, self.capacity,
            len(to), to.rows, to.values, len(self.signals),
        )  # fmt: skip

    def drop_closed(self, *, folded: bool = True) -> None:
        """Drop the closed part, which counts in `num_folded` when it was folded."""
        self.parts.drop(folded)

    def __len__(self) -> int:
        """Observations of both parts, without those refused."""
        counts = self.counts()
        return counts.observed - counts.out_of_range - counts.not_allowed

    @property
    def num_closed(self) -> int:
        """Observations of the closed part, without those refused."""
        return self.parts.num_closed

    @property
    def num_folded(self) -> int:
        """Observations that left the log as folded since the last `clear` or `restore`."""
        return self.parts.num_folded

    def counts(self) -> Counts:
        """Count what came, what was refused, and what did not fit."""
        self._settle()
        opened = Counts.of(self.device.call(self.device.kernels.log_counts, self._header))
        return self.closed_counts + opened

    @property
    def closed_counts(self) -> Counts:
        """What `counts` gives, of the closed part."""
        return Counts.of(self.parts.counts)

    def refusals(self) -> str:
        """Say which ids of the closed part were refused, for the error at the end of an epoch."""
        counts, found = self.closed_counts, []
        if counts.out_of_range:
            found.append(
                f"{counts.out_of_range} had ids out of [0, {self.num_ids}), the first "
                f"{counts.first_out_of_range}"
            )
        if counts.not_allowed:
            found.append(
                f"{counts.not_allowed} had ids that the epoch does not hold, the first "
                f"{counts.first_not_allowed}"
            )
        if counts.lost:
            found.append(f"{counts.lost} were more than the epoch's log has room for")
        return ", ".join(found)

    @property
    def rows(self) -> torch.Tensor:
        """Rows of the closed part in call order, -1 where the id was refused: int32[n], a view."""
        return self._closed.rows[: self.closed_counts.observed]

    def values(self, name: str) -> torch.Tensor:
        """Values of one signal in the closed part, whatever the row: float32[n], a view."""
        if name not in self.signals:
            raise ValueError(f"signal must be one of {self.signals}, got {name!r}")
        return self._closed.values[self.signals.index(name), : self.closed_counts.observed]

    def observed(self) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return `rows`, and the `values` of all signals."""
        rows = self.rows
        return rows, list(self._closed.values[:, : len(rows)])

    def _accepted(self, name: str) -> torch.Tensor:
        return self.values(name)[self.rows != REFUSED]

    def index(self) -> NDArray[np.uint32]:
        """Rows of the closed part, uint32[n], without those refused; a copy on the host."""
        rows = self.rows
        array: NDArray[np.uint32] = rows[rows != REFUSED].cpu().numpy().view(np.uint32)
        return array

    def signal(self, name: str) -> NDArray[np.float32]:
        """Values of one signal in the closed part, without those refused; a copy on the host."""
        array: NDArray[np.float32] = self._accepted(name).cpu().numpy()
        return array

    def non_finite(self) -> int:
        """Values of all signals that are NaN or infinite."""
        return self.parts.non_finite

    def binary(self) -> list[bool]:
        """Whether every observation of a signal, in their order, is 0 or 1."""
        bits = (self._accepted(name).view(torch.int32) for name in self.signals)
        return [bool(((one == 0) | (one == 0x3F800000)).all()) for one in bits]

    def clear(self) -> None:
        """Drop both parts, and set `num_folded` to 0; the memory is kept."""
        with self._changing:
            self._settle()
            self.device.call(self.device.kernels.reset_log, self._header, self.parts, 0, 0, 0)

    def restore(
        self, index: NDArray[np.uint32], signals: Mapping[str, object], num_folded: int = 0
    ) -> None:
        """Replace all content by a closed part: what `index()` and `signal(name)` gave, in rows."""
        host = ObservationLog(self.num_samples, self.signals, self.max_bytes)
        host.restore(index, signals)
        size = len(index)
        memory = Memory.empty(self.device, len(self.signals), max(size, len(self._closed)))
        memory.rows[:size] = self.device.put(host.index())
        for name, values in zip(self.signals, memory.values, strict=True):
            values[:size] = self.device.put(host.signal(name))
        with self._changing:
            self._settle()
            self._memories[1 - self.parts.open] = memory
            counts = (size, num_folded, host.non_finite())
            self.device.call(self.device.kernels.reset_log, self._header, self.parts, *counts)

    @property
    def native(self) -> _core.ObservationLog:
        """The closed part, without the refused observations, as a `_core.ObservationLog`."""
        host = ObservationLog(self.num_samples, self.signals, self.max_bytes)
        host.restore(self.index(), {name: self.signal(name) for name in self.signals})
        return host.native

    def _point(self) -> Counts:
        """Have the header lead to what is here; return what the open part has counted."""
        there = self.device.call(
            self.device.kernels.point_log,
            self._header,
            self.capacity,
            self._open.rows,
            self._open.values,
            self._row_of,
            self.num_ids,
            self._allowed,
        )
        return Counts.of(there)

    def _settle(self) -> None:
        """Wait for the appends, on any stream: what they use is about to change, or read."""
        self.device.call(self.device.kernels.settle)
        self._retired.clear()
