"""The logs of all ranks, folded into the table that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.groups.standing import GroupError
from dynsample.plan.dealing import block_shift, row_bounds
from dynsample.table.log import Layout, Portion, pack

if TYPE_CHECKING:
    from dynsample.groups import Group
    from dynsample.table.places import Log
    from dynsample.table.table import ScoreTable

_CHUNK_BYTES = 1 << 28  # received from all ranks at a time


def fold_everywhere(
    table: ScoreTable,
    log: Log,
    portions: Sequence[Portion],
    group: Group,
) -> None:
    """Fold the closed parts of all ranks' logs into the table that every rank, or its owners, hold.

    All ranks have the same portions, with other tickets. A log travels in blocks of rows, as
    records of 32-bit words: the row within its block and the signals that are 0 or 1 share one, the
    other signals take one each. Tickets travel `by_ticket`. A rank holds about `_CHUNK_BYTES` of
    what others sent at a time.
    """
    for portion in portions:
        _fold_portion(table, log, portion, group)
    log.drop_closed()


def _fold_portion(table: ScoreTable, log: Log, portion: Portion, group: Group) -> None:
    what = f"the exchange of the observations of epoch {portion.epoch}"
    layout = _agreed_layout(table, log, group, portion, what)
    records, starts = pack(log.native, layout, portion.tickets)
    words = len(records) // max(int(starts[-1]), 1)
    shift, size, sharded = layout[0], group.size, table.sharded
    bounds = row_bounds(table.num_samples, size) if sharded else [0, table.num_samples]
    blocks = [-(-bound >> shift) for bound in bounds]
    sent = int(group.sum(np.array([records.nbytes]), what)[0])
    chunks = (sent // size if sharded else sent) // _CHUNK_BYTES + 1

    def part(owner: int, chunk: int) -> slice:
        first, last = blocks[owner], blocks[owner + 1]
        count = last - first
        return slice(first + chunk * count // chunks, first + (chunk + 1) * count // chunks)

    def counts(here: slice) -> NDArray[np.uint32]:
        return np.diff(starts[here.start : here.stop + 1]).astype(np.uint32)

    def data(here: slice) -> NDArray[np.uint32]:
        return records[int(starts[here.start]) * words : int(starts[here.stop]) * words]

    for chunk in range(chunks):
        if sharded:
            parts = [part(owner, chunk) for owner in range(size)]
            here = parts[group.rank]
            all_counts = group.all_to_all([counts(each) for each in parts], what)
            all_records = group.all_to_all([data(each) for each in parts], what)
        else:
            here = part(0, chunk)
            all_counts = group.all_gather(counts(here), what)
            all_records = group.all_gather(data(here), what)
        packed = [
            (rank_records, np.append(np.uint64(0), np.cumsum(rank_counts, dtype=np.uint64)))
            for rank_records, rank_counts in zip(all_records, all_counts, strict=True)
        ]
        rows = here.start << shift, min(here.stop << shift, table.num_samples)
        try:
            table.fold_packed(log, packed, layout, rows, portion)
        except _core.PackedError as error:
            raise GroupError(
                f"rank {group.rank} of {size} cannot use what it received in {what}: {error}"
            ) from error


def _agreed_layout(
    table: ScoreTable, log: Log, group: Group, portion: Portion, what: str
) -> Layout:
    """Return shift, whether tickets travel, and which signals travel, as a bit or not."""
    shift = block_shift(table.num_samples, group.size, sharded=table.sharded)
    names = {
        column.signal or name
        for name, column in table.columns.items()
        if column.takes(portion.epoch, superseded=portion.superseded)
    }
    numbers = [number for number, name in enumerate(log.signals) if name in names]
    binary = log.binary()
    other = group.sum(np.array([not binary[number] for number in numbers], np.int64), what)
    free = 32 - shift
    signals = []
    for number, others in zip(numbers, other.tolist(), strict=True):
        bit = not others and free > 0
        free -= bit
        signals.append((number, bit))
    return shift, portion.by_ticket, signals
