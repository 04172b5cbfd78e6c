"""The plan of an epoch that a device worked out: its order leaves once, for the loader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample._core import Stream
from dynsample.kernels.convert import is_tensor
from dynsample.kernels.cuda.device import Device
from dynsample.kernels.cuda.order import mask_ids, order_slice, repeat_rows
from dynsample.kernels.wait import wait
from dynsample.plan.orders import Order, RandomOrder, Slice, as_order
from dynsample.plan.plan import WholePlan, check_selection
from dynsample.plan.selection import EpochRandom, Selection

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class DevicePlan(WholePlan):
    """One epoch, as `EpochPlan`, in tensors. Made by `build_device_plan`."""

    device: Device
    members: torch.Tensor
    _hidden_rows: torch.Tensor
    weights: torch.Tensor | None
    _there: dict[int, torch.Tensor] = field(default_factory=dict)  # rows by position, by stream

    @property
    def hidden_rows(self) -> torch.Tensor:
        """Rows that are left out, int32[H] of uint32 bits, ascending."""
        return self._hidden_rows

    def _arrange(self, hidden: bool) -> Slice:
        members = self.hidden_rows if hidden else self.members
        stream = Stream.HIDDEN_ORDER if hidden else Stream.ORDER
        if not isinstance(self.order_by, RandomOrder):
            return self.order_by.arrange(_unsigned(members), self.random, stream)
        key = {"seed": self.random.seed, "epoch": self.random.epoch, "stream": stream}
        self._there[stream] = order_slice(self.device, len(members), members, **key)
        leaving = _Leaving(self._there[stream])
        return lambda start, stop: leaving.rows()[start:stop].astype(np.int64)

    def leading(self, count: int, *, hidden: bool) -> torch.Tensor | None:
        """Rows of the first positions, on the device; None where it has not put them in order."""
        there = self._there.get(Stream.HIDDEN_ORDER if hidden else Stream.ORDER)
        return None if there is None else there[:count]

    def issued(self, start: int, stop: int) -> Iterator[torch.Tensor]:
        """Yield the rows at positions [start, stop), in any order; a tensor."""
        there = self.members if self.is_whole(start, stop) else self.leading(stop, hidden=False)
        if there is None:  # the order was worked out on the host
            yield self.device.put(self.rows(start, stop))
        else:
            yield there[start:].long() & 0xFFFFFFFF

    def rows_left_out(self) -> NDArray[np.int64]:
        """Rows that are left out of this epoch, ascending; a copy on the host."""
        return _unsigned(self.hidden_rows).astype(np.int64)

    @cached_property
    def _host_weights(self) -> NDArray[np.float32] | None:
        return None if self.weights is None else self.weights.cpu().numpy()

    def weights_at(self, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Loss weights of rows; None where all are 1. On the host: see `Sampler.weights`."""
        return None if self._host_weights is None else self._host_weights[rows]

    def allowed(self) -> torch.Tensor | None:
        """Rows that this epoch issues at all, bool[N] tensor; None when it issues every row."""
        if not self.repeated and (self.refresh or not self.num_hidden):
            return None
        rows = self.members if self.repeated else self.hidden_rows
        mask = self.device.full(self.num_rows, not self.repeated)
        mask[rows.long() & 0xFFFFFFFF] = self.repeated
        return mask

    @property
    def row_sum(self) -> int:
        """Sum of the epoch's rows, as often as they are drawn, modulo 2**32."""
        return int(self.members.sum()) % (1 << 32)


class _Leaving:
    """A tensor on its way to the host, which does not wait for it before somebody asks."""

    def __init__(self, rows: torch.Tensor) -> None:
        import torch

        self._event = None
        self._host = rows
        if rows.is_cuda:
            self._host = torch.empty(len(rows), dtype=rows.dtype, pin_memory=True)
            self._host.copy_(rows, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(rows.device))

    def rows(self) -> NDArray[np.uint32]:
        """Return the rows, uint32[M], when they are here."""
        if self._event is not None:
            wait(self._event, "the order of an epoch")
            self._event = None
        return _unsigned(self._host)


def _unsigned(rows: torch.Tensor) -> NDArray[np.uint32]:
    host: NDArray[np.uint32] = rows.cpu().numpy().view(np.uint32)
    return host


def _tensors(selection: Selection, device: Device) -> Iterator[torch.Tensor | None]:
    """Yield what was selected, which must be on the device: hidden, counts, weights."""
    for name in ("hidden", "counts", "weights"):
        value = getattr(selection, name)
        if value is None:
            yield None
            continue
        found = value.device if is_tensor(value) else f"a {type(value).__name__}"
        if found != device.torch_device:
            raise ValueError(
                f"selection.{name} must be a tensor on {device.torch_device}, as the table is, "
                f"got {found}"
            )
        yield value


def build_device_plan(
    selection: Selection,
    num_samples: int,
    device: Device,
    *,
    seed: int,
    epoch: int,
    order: str | Order = "random",
    index: NDArray[np.int64] | None = None,
) -> DevicePlan:
    """Plan an epoch from what a policy selected on a device; see `dynsample.build_plan`."""
    import torch

    check_selection(selection, num_samples)
    hidden, counts, weights = _tensors(selection, device)
    none = device.empty(0, torch.int32)
    if counts is not None:
        members, hidden_rows = repeat_rows(counts.to(torch.int32), int(counts.sum())), none
    elif hidden is not None:
        members = mask_ids(hidden, invert=True)
        hidden_rows = mask_ids(hidden, size=num_samples - len(members))
    else:
        wide = torch.int32 if num_samples < 2**31 else torch.int64
        members = torch.arange(num_samples, dtype=wide, device=device.torch_device)
        members, hidden_rows = members.to(torch.int32), none
    plan = DevicePlan(
        device=device,
        random=EpochRandom(seed, epoch),
        num_rows=num_samples,
        members=members,
        _hidden_rows=hidden_rows,
        weights=weights,
        index=index,
        lr_scale=selection.lr_scale,
        refresh=selection.refresh,
        stats=selection.stats,
        repeated=counts is not None,
        order_by=as_order(order),
    )
    plan.arranged(hidden=False)  # the order begins to leave now
    return plan
