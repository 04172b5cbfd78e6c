"""Observations of a training step on a GPU, kept there until the epoch's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from dynsample import signals as signal_functions
from dynsample.kernels import Array
from dynsample.kernels.checks import choice
from dynsample.kernels.convert import as_tensor
from dynsample.kernels.cuda.device import Device
from dynsample.table import cuda_compiled as compiled
from dynsample.table import cuda_observation as reading
from dynsample.table.cuda_log_memory import LogMemory
from dynsample.table.cuda_rings import UploadRing
from dynsample.table.log import MAX_BYTES, lacking

# The order of cuda::Wanted, but for its last: "confidence" stands there for the highest one.
_SLOTS = (
    "loss", "correct", "confidence", "margin", "el2n", "l1", "max_margin", "sum_margin",
    "probability",
)  # fmt: skip

Output = tuple[torch.Tensor, torch.Tensor, list[int]]  # logits, targets, and where signals go


class DeviceLog(LogMemory):
    """Rows of the table and their signals, in call order; `ObservationLog` on a device.

    The appends do not wait for the device and allocate nothing, and may be captured in a CUDA graph
    or compiled by torch.compile. They run on the current stream, and must follow each other: on one
    stream, or on streams that wait for one another. A wrong id is found by the kernel: it keeps its
    place, marked as refused, and is counted. All other methods wait for the device and are for
    the time between epochs.

    Parameters
    ----------
    device : Device
    num_samples : int in [0, 2**32)
        Rows of the table.
    signals : sequence of str
        At most 16 signals kept of every observation, as float32.
    max_bytes : int
        What the log may hold: 4 + 4 * S bytes an observation.
    """

    def __init__(
        self, device: Device, num_samples: int, signals: Sequence[str], max_bytes: int = MAX_BYTES
    ) -> None:
        super().__init__(device, num_samples, signals, max_bytes)
        self._ring = UploadRing(self._torch_device)

    def append(self, index: object, signals: Mapping[str, object]) -> None:
        """Append one batch.

        Parameters
        ----------
        index : int[B]
            Ids; on the device, or on the host, from where it is copied without waiting: then it may
            be changed at once. numpy, torch, or what gives DLPack.
        signals : mapping of str to array [B] or [B, 1]
            At least the log's signals; others are ignored. Any real dtype becomes float32.

        Raises
        ------
        ValueError
            A missing signal, other lengths, a loss that was reduced, a tensor on a third device.
        TypeError
            Something that is no array, or not of a real (for the index: integer) dtype.
        """
        if not self.append_in_place(index, signals):
            self._append(index, signals)

    def append_in_place(self, index: object, signals: Mapping[str, object]) -> bool:
        """Append when all is on the device as a kernel takes it; False, nothing done, when not."""
        if compiled.tracing():
            self._append(index, signals)
            return True
        ids = reading.in_place(index, self._torch_device, reading.INDEX_TYPES)
        if ids is None:
            return False
        count = ids[0]
        numbers: tuple[int, ...] = ids[1]
        for name in self.signals:
            more = reading.in_place(signals.get(name), self._torch_device, reading.TYPES)
            if more is None or more[0] != count:
                return False
            numbers += more[1]
        with self._changing:
            self.device.call(self.device.kernels.append_log, self._header, count, numbers)
        return True

    def append_logits(
        self,
        index: object,
        logits: object,
        targets: object,
        confidence: str = "max",
        signals: Mapping[str, object] | None = None,
    ) -> None:
        """Append one batch, and compute signals that are not given from a model's output.

        Parameters
        ----------
        index, signals
            As in `append`.
        logits, targets : [B, C] and int[B]
            As in `dynsample.signals.compute`; targets out of range give NaN.
        confidence : "max" or "target"
        """
        given = {} if signals is None else signals
        choice(confidence, "confidence", ("max", "target"))
        logits = self._taken("logits", reading.from_elsewhere(logits))
        targets = self._taken("targets", reading.from_elsewhere(targets))
        if not reading.on_device(logits, "logits", self._torch_device):
            names = [name for name in self.signals if name not in given]
            computed = signal_functions.compute(names, logits, targets, confidence)
            self.append(index, {**computed, **given})
            return
        reading.on_device(targets, "targets", self._torch_device)
        output = signal_functions.checked_output(logits, targets)
        classes = output[0].shape[1]
        slots = [-1 if name in given else self._slot(name) for name in _SLOTS]
        if confidence == "target":
            slots = [*slots[:2], -1, *slots[3:], slots[2]]
        else:
            slots.append(-1)
        for name in ("margin", "max_margin"):
            if slots[_SLOTS.index(name)] >= 0 and classes < 2:
                raise ValueError(f"{name} needs logits of at least 2 classes, got {classes}")
        self._append(index, given, (logits, as_tensor(output[1]), slots))

    def _slot(self, name: str) -> int:
        return self.signals.index(name) if name in self.signals else -1

    def _append(
        self,
        index: object,
        signals: Mapping[str, object],
        output: Output | None = None,
    ) -> None:
        if compiled.tracing():
            self._append_now(index, signals, output)
            return
        with self._changing:  # signals go to where the rows follow
            self._append_now(index, signals, output)

    def _append_now(
        self, index: object, signals: Mapping[str, object], output: Output | None
    ) -> None:
        computed = () if output is None else _SLOTS
        if missing := [n for n in self.signals if n not in signals and n not in computed]:
            raise lacking(missing, signals)
        try:
            ids = self._placed(
                "index", reading.read_index(self._taken("index", index), self._torch_device)
            )
            values: list[torch.Tensor | None] = []
            for name in self.signals:
                if name not in signals:
                    values.append(None)
                    continue
                value = reading.read_signal(
                    self._taken(name, signals[name]), name, self._torch_device
                )
                _check_length(name, value, ids)
                values.append(self._placed(name, value))
            if output is not None:
                self._write_signals(ids, *output)
            if compiled.tracing():
                compiled.append_log(self._header, ids, values)
            else:
                reading.write_log(self.device, self._header, ids, values)
        finally:
            self._ring.done()

    def _write_signals(
        self, ids: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor, slots: list[int]
    ) -> None:
        _check_length("logits", logits, ids)
        logits = reading.plain(logits)
        if logits.dtype not in reading.LOGIT_TYPES:
            logits = logits.float()
        targets = reading.plain(targets)
        if targets.dtype not in reading.INDEX_TYPES:
            targets = targets.long()
        if targets.device != self._torch_device:
            targets = self._placed("targets", targets.numpy())
        if compiled.tracing():
            compiled.append_signals(self._header, logits, targets, slots)
        else:
            reading.write_signals(self.device, self._header, logits, targets, slots)

    def _taken(self, name: str, value: object) -> object:
        """Return what a compiled graph can take: there, a copy from the host is part of it."""
        if not compiled.tracing() or reading.on_device(value, name, self._torch_device):
            return value
        return torch.as_tensor(value).to(self._torch_device, non_blocking=True)

    def _placed(self, name: str, value: torch.Tensor | NDArray[Any]) -> torch.Tensor:
        return value if isinstance(value, torch.Tensor) else self._ring.put(name, value)


def _check_length(name: str, value: Array, ids: torch.Tensor) -> None:
    if value.shape[0] != ids.shape[0]:
        raise ValueError(
            f"{name} must have one value per id: it has {value.shape[0]}, index {ids.shape[0]}"
        )
