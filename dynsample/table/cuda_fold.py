"""The fold on a device: observations sorted by row, sent to the owners of the rows, applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dynsample.groups.tensors import gather_tensors, send_tensors
from dynsample.kernels.convert import as_tensor
from dynsample.kernels.cuda import order
from dynsample.kernels.cuda.device import Device
from dynsample.plan.dealing import row_bounds
from dynsample.table.columns import Column, Parts, native

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from dynsample.groups import Group
    from dynsample.kernels import Array
    from dynsample.table.cuda_log import DeviceLog


@dataclass
class Sorted:
    """Observations by row, those of a row by ticket, or in call order.

    Attributes
    ----------
    rows, places : int32[n]
        Row of each, -1 for one that was refused, which come last; and its place in the values.
    values : list of float32 tensors
        The values of every signal, by place.
    accepted : bool[n] or None
        Which count; None is all.
    tickets : int32[n] or None
        None: the call order counts.
    """

    rows: torch.Tensor
    places: torch.Tensor
    values: Sequence[torch.Tensor]
    accepted: torch.Tensor | None = None
    tickets: torch.Tensor | None = None


def sort(
    device: Device, rows: torch.Tensor, num_rows: int, keys: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sort int32 rows by (row, key), stable: the rows, and the place of each before."""
    import torch

    size = len(rows)
    sorted_rows, places = device.empty(size, torch.int32), device.empty(size, torch.int32)
    bits = max(num_rows.bit_length(), 1)  # -1 is above all rows in these
    device.call_with_scratch(device.kernels.sort_rows, rows, keys, size, bits, sorted_rows, places)
    return sorted_rows, places


def sorted_log(log: DeviceLog, tickets: NDArray[np.int64] | None = None) -> Sorted:
    """Sort a log by itself, by (row, ticket) or in call order."""
    if tickets is not None:
        return _by_tickets(log, tickets)
    observed, values = log.observed()
    rows, places = sort(log.device, observed, log.num_samples)
    return Sorted(rows, places, values)


def _by_tickets(log: DeviceLog, tickets: NDArray[np.int64]) -> Sorted:
    """Sort what has a ticket, by (row, ticket)."""
    kept = np.flatnonzero(tickets >= 0)
    device, places = log.device, log.device.put(kept)
    observed, values = log.observed()
    seen = observed != -1
    keys = device.put(tickets[kept].astype(np.uint32))
    rows, order_ = sort(device, observed[seen][places], log.num_samples, keys)
    taken = [each[seen][places] for each in values]
    return Sorted(rows, order_, taken, tickets=keys[order_.long()])


def exchanged(
    log: DeviceLog, found: Sorted, group: Group, *, sharded: bool, by_ticket: bool, what: str
) -> Sorted:
    """Send what counts to the owners of its rows, or to all ranks, and sort what came."""
    import torch

    device, num_rows = log.device, log.num_samples
    rows, places = found.rows, found.places
    tickets = found.tickets if by_ticket else None
    if found.accepted is not None:
        kept = order.mask_ids(found.accepted).long()
        rows, places = rows[kept], places[kept]
        tickets = None if tickets is None else tickets[kept]
    parts = [rows, *(values[places.long()] for values in found.values)]
    if by_ticket:
        assert tickets is not None
        parts.append(tickets)
    if sharded:
        bounds = device.put(np.array(row_bounds(num_rows, group.size)[1:-1], np.int64))
        ends = torch.searchsorted(rows.long() & 0xFFFFFFFF, bounds).tolist()
        sizes = np.diff([0, *ends, len(rows)]).tolist()
        came = [send_tensors(group, part, sizes, what) for part in parts]
    else:
        came = [gather_tensors(group, part, what) for part in parts]
    keys = came.pop() if by_ticket else None
    rows, places = sort(device, came[0], num_rows, keys)
    return Sorted(rows, places, came[1:])


def apply(
    log: DeviceLog,
    columns: Mapping[str, Column],
    parts: Mapping[str, Parts],
    seen: Array,
    found: Sorted,
    epoch: int,
    first_row: int,
) -> None:
    """Apply observations to columns whose first entry is of `first_row`, and drop them of the log.

    Both are one step, which no interrupt divides.
    """
    specs = []
    for name, column in columns.items():
        if not column.takes(epoch):
            continue
        number = log.signals.index(column.signal or name)
        kind, _, parameter, arrays = native(column, number, parts[name])
        addresses = {part: as_tensor(array).data_ptr() for part, array in arrays.items()}
        specs.append((kind, parameter, addresses, found.values[number].data_ptr()))
    log.device.call(
        log.device.kernels.fold, log.parts, specs, found.rows, found.places, len(found.rows),
        found.accepted, first_row, as_tensor(seen),
    )  # fmt: skip
