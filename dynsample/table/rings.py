"""CUDA signals for a CPU table: copied without waiting into a ring of pinned buffers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeGuard

from dynsample.kernels.convert import as_array, as_ids, check_ids, is_tensor
from dynsample.kernels.wait import wait
from dynsample.table.log import ObservationLog

if TYPE_CHECKING:
    import torch

    from dynsample.kernels import Array

DEPTH = 8
Buffers: TypeAlias = "dict[str, torch.Tensor]"  # pinned memory, by what is copied into it


class Appended(Protocol):
    """The log that observations arrive in."""

    signals: tuple[str, ...]

    def append(self, index: object, signals: Mapping[str, object]) -> None:
        """Append one batch."""


class _Copied(NamedTuple):
    """An observation on its way: its buffers, and when what is in them has arrived."""

    arrived: list[torch.cuda.Event]
    buffers: Buffers
    ids: torch.Tensor
    signals: dict[str, torch.Tensor]
    plan: int | None


def _on_cuda(value: object) -> TypeGuard[torch.Tensor]:
    return is_tensor(value) and value.is_cuda


class PinnedRing:
    """Holds observations until their copies to the host are done, in call order.

    `push` never waits for the device unless `DEPTH` observations are still on their way.
    """

    def __init__(self, log: Appended) -> None:
        self._log = log
        self._pending: deque[_Copied] = deque()
        self._free: list[Buffers] = []

    def __bool__(self) -> bool:
        """Whether observations are on their way."""
        return bool(self._pending)

    def takes(self, index: object, signals: Mapping[str, object]) -> bool:
        """Whether an observation must pass through the ring: it is on a GPU, or follows one."""
        if self._pending:
            return True
        return _on_cuda(index) or any(_on_cuda(signals.get(name)) for name in self._log.signals)

    def push(self, index: object, signals: Mapping[str, object], plan: int | None = None) -> None:
        """Start the copies of one observation; append those that have arrived to the log."""
        if len(self._pending) >= DEPTH:
            self._append_oldest()
        import torch

        buffers = self._free.pop() if self._free else {}
        index = check_ids(index)
        ids = index if is_tensor(index) else as_ids(index)
        host_index = self._copy(buffers, "index", ids, torch.int64)
        host = {
            name: self._copy(buffers, name, as_array(signals[name], name), torch.float32)
            for name in self._log.signals
            if name in signals
        }
        given = [index, *(signals[name] for name in host)]
        arrived = []
        for device in {value.device for value in given if _on_cuda(value)}:
            # A copy runs on its tensor's device, which need not be the current one.
            arrived.append(torch.cuda.Event())
            arrived[-1].record(torch.cuda.current_stream(device))
        self._pending.append(_Copied(arrived, buffers, host_index, host, plan))
        self.drain(everything=False)

    def _copy(self, buffers: Buffers, name: str, value: Array, dtype: torch.dtype) -> torch.Tensor:
        import torch

        if not is_tensor(value):
            value = torch.from_numpy(value.copy())
        elif not value.is_cuda:
            value = value.detach().clone()  # the loader may reuse it before the event is done
        flat = value.detach().reshape(-1) if value.dim() else value.detach()
        size = flat.numel()
        if name not in buffers or buffers[name].numel() < size:
            buffers[name] = torch.empty(size, dtype=dtype, pin_memory=True)
        target = buffers[name][:size].reshape(flat.shape)
        target.copy_(flat, non_blocking=True)
        return target

    def drain(self, *, everything: bool) -> None:
        """Append the observations that have arrived, or all of them, to the log."""
        while self._pending and (everything or self._arrived()):
            self._append_oldest()

    def _arrived(self) -> bool:
        return all(event.query() for event in self._pending[0].arrived)

    def _append_oldest(self) -> None:
        copied = self._pending[0]
        for event in copied.arrived:
            wait(event, "the copy of an observation")
        self._pending.popleft()
        self._free.append(copied.buffers)
        if copied.plan is None:
            self._log.append(copied.ids, copied.signals)
        else:
            assert isinstance(self._log, ObservationLog)  # of a sampler with `late`
            self._log.append(copied.ids, copied.signals, copied.plan)
