"""The end of an epoch on a device: observations matched with what was issued, and folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dynsample.kernels.cuda.device import Device
from dynsample.plan.cuda import DevicePlan
from dynsample.run.external_ledger import ExternalLedger
from dynsample.table.cuda_fold import Sorted, apply, exchanged, sort, sorted_log

if TYPE_CHECKING:
    import torch

    from dynsample.groups import Group
    from dynsample.plan.plan import Plan
    from dynsample.run.ledger import Ledger
    from dynsample.table.cuda_log import DeviceLog
    from dynsample.table.table import ScoreTable

_NO_TICKET = np.uint32(0xFFFFFFFF)


def fold(
    table: ScoreTable, ledger: Ledger, plan: Plan, group: Group, *, epoch: int, what: str
) -> tuple[int, int]:
    """Fold the logs of all ranks; see `boundary.fold`.

    Collective. As `Ledger.settle` and the fold on the CPU, with the same result.
    """
    log, surplus = ledger.log, 0
    assert log.on_device
    needs_tickets = plan.repeated and group.size > 1
    if isinstance(ledger, ExternalLedger):
        (portion,), not_issued, surplus, *_ = ledger.settle(plan, group, what)
        tickets = portion.tickets
        found, refused = sorted_log(log, tickets), group.sum(np.array([_refused(log)]), what)
        not_issued += int(refused[0])
    else:
        found, not_issued = _settled(log, ledger, plan, group, needs_tickets, what)
    if group.size > 1:
        found = exchanged(
            log, found, group, sharded=table.sharded, by_ticket=needs_tickets, what=what
        )
    columns, first = table.columns, table.bounds[0]
    apply(log, columns, table.all_parts(), table.seen, found, epoch, first)
    return not_issued, surplus


def _refused(log: DeviceLog) -> int:
    counts = log.closed_counts
    return counts.out_of_range + counts.not_allowed + counts.lost


def _settled(
    log: DeviceLog, ledger: Ledger, plan: Plan, group: Group, needs_tickets: bool, what: str
) -> tuple[Sorted, int]:
    """Sort what counts, and count what was not issued, on all ranks."""
    if ledger.fresh:
        found, unknown = _matched(log, ledger, plan, needs_tickets)
    else:  # some were received before a save: where they belong is worked out on the host
        tickets = ledger.tickets(plan)
        found, unknown = sorted_log(log, tickets), int(np.count_nonzero(tickets == -2))
    mine = np.array([unknown, len(ledger.outstanding[0]), _refused(log)])
    unknown, outstanding, refused = map(int, group.sum(mine, what))
    if unknown and outstanding:
        tickets, unknown, _ = ledger.settle_late(ledger.tickets(plan), group, what)
        found = sorted_log(log, tickets)
    return found, unknown + refused


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
        device.kernels.match, rows, places, len(rows), issued_rows, issued_places, len(issued),
        positions, accepted, tickets, unknown,
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
