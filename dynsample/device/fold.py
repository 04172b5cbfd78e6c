"""The end of an epoch on a device: observations matched with what was issued, and folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsample.columns import Column, native
from dynsample.device import order
from dynsample.device.exchange import gather_tensors, send_tensors
from dynsample.device.kernels import Device
from dynsample.device.plan import DevicePlan
from dynsample.shards import row_bounds

if TYPE_CHECKING:
    import torch

    from dynsample.device.log import DeviceLog
    from dynsample.groups import Group
    from dynsample.ledger import Ledger
    from dynsample.plan import Plan
    from dynsample.table import ScoreTable

_NO_TICKET = np.uint32(0xFFFFFFFF)


@dataclass
class Sorted:
    """Observations by row, those of a row by ticket, or in call order.

    Attributes
    ----------
    rows, places : int32[n]
        Row of each, -1 for one that was refused, which come last; and its place in the values.
    values : list of float32 tensors
        Of every signal, by place.
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


def fold(
    table: ScoreTable, ledger: Ledger, plan: Plan, group: Group, *, epoch: int, what: str
) -> int:
    """Fold the logs of all ranks; give how many observations were of nothing issued.

    Collective. As `Ledger.settle` and the fold on the CPU, with the same result.
    """
    log: DeviceLog = ledger.log  # type: ignore[assignment]
    needs_tickets = plan.repeated and group.size > 1
    if ledger.fresh:
        found, unknown = _matched(log, ledger, plan, needs_tickets)
    else:  # some were received before a save: where they belong is worked out on the host
        tickets = ledger.tickets(plan)
        found, unknown = _by_tickets(log, tickets), int(np.count_nonzero(tickets == -2))
    counts = log.closed_counts
    refused = counts.out_of_range + counts.not_allowed + counts.lost
    mine = np.array([unknown, len(ledger.outstanding[0]), refused])
    unknown, outstanding, refused = map(int, group.sum(mine, what))
    if unknown and outstanding:
        tickets, unknown, _ = ledger.settle_late(ledger.tickets(plan), group, what)
        found = _by_tickets(log, tickets)
    if group.size > 1:
        found = _exchanged(log.device, table, found, group, needs_tickets, what)
    columns, first = table.columns, table.bounds[0]
    apply(log, columns, table.all_parts(), table.seen, found, epoch, first)
    return unknown + refused


def sort(
    device: Device, rows: torch.Tensor, num_rows: int, keys: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sort int32 rows by (row, key), stable: the rows, and the place of each before."""
    import torch

    size = len(rows)
    sorted_rows, places = device.empty(size, torch.int32), device.empty(size, torch.int32)
    bits = max(num_rows.bit_length(), 1)  # -1 is above all rows in these
    device.call_with_scratch("sort_rows", rows, keys, size, bits, sorted_rows, places)
    return sorted_rows, places


def _matched(log: DeviceLog, ledger: Ledger, plan: Plan, needs_tickets: bool) -> tuple[Sorted, int]:
    """Match by sorting both sides: what came, and what was issued."""
    import torch

    device, num_rows = log.device, log.num_samples
    observed, values = log.observed()
    rows, places = sort(device, observed, num_rows)
    issued = _issued(device, ledger, plan)
    issued_rows, issued_places = sort(device, issued, num_rows)
    padded = any(each.padded for each in ledger.issued)
    positions = tickets = None
    if needs_tickets or padded:
        given = ledger.positions(plan)
        positions = device.put(np.where(given < 0, _NO_TICKET, given.astype(np.uint32)))
        tickets = device.empty(len(rows), torch.int32)
    accepted, unknown = device.full(len(rows), False), device.full(1, 0)
    device.call(
        "match", rows, places, len(rows), issued_rows, issued_places, len(issued), positions,
        accepted, tickets, unknown,
    )  # fmt: skip
    return Sorted(rows, places, values, accepted, tickets), int(unknown)


def _issued(device: Device, ledger: Ledger, plan: Plan) -> torch.Tensor:
    """Rows that were handed out; of one rank without a copy, as the plan has them there."""
    import torch

    parts = []
    for hidden, issued in enumerate(ledger.issued):
        there = None
        if isinstance(plan, DevicePlan) and issued.leading:
            there = plan.leading(len(issued), hidden=bool(hidden))
        parts.append(device.put(issued.rows) if there is None else there)
    return torch.cat(parts)


def sorted_log(log: DeviceLog, tickets: Any = None) -> Sorted:
    """Sort a log by itself, by (row, ticket) or in call order."""
    if tickets is not None:
        return _by_tickets(log, tickets)
    observed, values = log.observed()
    rows, places = sort(log.device, observed, log.num_samples)
    return Sorted(rows, places, values)


def _by_tickets(log: DeviceLog, tickets: Any) -> Sorted:
    """Sort what has a ticket, by (row, ticket)."""
    kept = np.flatnonzero(tickets >= 0)
    device, places = log.device, log.device.put(kept)
    observed, values = log.observed()
    seen = observed != -1
    keys = device.put(tickets[kept].astype(np.uint32))
    rows, order_ = sort(device, observed[seen][places], log.num_samples, keys)
    taken = [each[seen][places] for each in values]
    return Sorted(rows, order_, taken, tickets=keys[order_.long()])


def _exchanged(
    device: Device, table: ScoreTable, found: Sorted, group: Group, by_ticket: bool, what: str
) -> Sorted:
    """Send what counts to the owners of its rows, or to all ranks, and sort what came."""
    import torch

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
    if table.sharded:
        bounds = device.put(np.array(row_bounds(table.num_samples, group.size)[1:-1], np.int64))
        ends = torch.searchsorted(rows.long() & 0xFFFFFFFF, bounds).tolist()
        sizes = np.diff([0, *ends, len(rows)]).tolist()
        came = [send_tensors(group, part, sizes, what) for part in parts]
    else:
        came = [gather_tensors(group, part, what) for part in parts]
    keys = came.pop() if by_ticket else None
    rows, places = sort(device, came[0], table.num_samples, keys)
    return Sorted(rows, places, came[1:])


def apply(
    log: DeviceLog,
    columns: Mapping[str, Column],
    parts: Mapping[str, Mapping[str, torch.Tensor]],
    seen: torch.Tensor,
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
        kind, _, parameter, tensors = native(column, number, parts[name])
        addresses = {part: tensor.data_ptr() for part, tensor in tensors.items()}
        specs.append((kind, parameter, addresses, found.values[number].data_ptr()))
    log.device.call(
        "fold", log.parts, specs, found.rows, found.places, len(found.rows), found.accepted,
        first_row, seen,
    )  # fmt: skip
