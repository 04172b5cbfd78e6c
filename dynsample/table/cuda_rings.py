"""Host arrays to a device without waiting: through a ring of pinned buffers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dynsample.kernels.wait import wait
from dynsample.table.rings import DEPTH


class UploadRing:
    """Copies arrays to a device on the current stream; what is copied may change at once.

    Waits for the device only when all `DEPTH` observations before are still on their way.

    Parameters
    ----------
    device : torch.device
        A CUDA device; the CPU, for tests, needs no ring.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        slots = DEPTH if device.type == "cuda" else 0
        self._slots = [_Slot(device) for _ in range(slots)]
        self._next = 0
        self._open: _Slot | None = None

    def put(self, name: str, array: NDArray[Any]) -> torch.Tensor:
        """Copy an array of one dimension; what comes back is lent until `done` and its work."""
        if self._device.type != "cuda":
            return torch.from_numpy(array.copy())
        if self._open is None:
            self._open = self._begin(name)
        return self._open.put(name, array)

    def done(self) -> None:
        """End an observation: all work that uses what `put` gave was issued."""
        if self._open is not None:
            self._open.event.record(torch.cuda.current_stream(self._device))
            self._open = None

    def _begin(self, name: str) -> _Slot:
        if torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                f"{name} must be on {self._device} while a CUDA graph is captured: a copy from "
                "the host would be replayed with what the host has then"
            )
        slot = self._slots[self._next]
        self._next = (self._next + 1) % DEPTH
        wait(slot.event, f"the copy of {name} to {self._device}")
        return slot


class _Slot:
    """The buffers of one observation, and when they are free again."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffers: dict[str, tuple[NDArray[Any], torch.Tensor, torch.Tensor]] = {}
        self.event = torch.cuda.Event()

    def put(self, name: str, array: NDArray[Any]) -> torch.Tensor:
        size = len(array)
        buffers = self._buffers.get(name)
        if buffers is None or len(buffers[0]) < size or buffers[0].dtype != array.dtype:
            dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
            pinned = torch.empty(size, dtype=dtype, pin_memory=True)
            there = torch.empty(size, dtype=dtype, device=self._device)
            buffers = self._buffers[name] = pinned.numpy(), pinned, there
        view, pinned, there = buffers
        view[:size] = array
        return there[:size].copy_(pinned[:size], non_blocking=True)
