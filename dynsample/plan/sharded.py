"""The plan of an epoch whose order no rank holds: owners send each rank the rows that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dynsample._core import Stream
from dynsample.groups import Group
from dynsample.kernels.convert import host
from dynsample.plan.dealing import Steps
from dynsample.plan.members import Delivered, Members
from dynsample.plan.orders import Order, Slice
from dynsample.plan.plan import Plan, check_selection, digest_of, kept_rows
from dynsample.plan.selection import EpochRandom, Selection

_LIMBS = 4
_WORD = 1 << 32


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ShardedPlan(Plan):
    """One epoch, of which this rank holds the rows that it owns and those that it is to train on.

    `weights` are those of the owned rows, from `first_row` on. `slice` is collective, and so are
    `digest` and the start of an iterator when they are the first of their kind.
    """

    group: Group
    first_row: int
    kept: Members
    left_out: Members
    _row_sum: int  # of all ranks
    _delivered: dict[bool, Delivered] = field(default_factory=dict)
    _digests: list[str] = field(default_factory=list)

    @property
    def num_positions(self) -> int:
        """Length of the epoch's order."""
        return self.kept.count

    @property
    def num_hidden(self) -> int:
        """Samples left out of this epoch."""
        return self.left_out.count

    @property
    def row_sum(self) -> int:
        """Sum of the epoch's rows, as often as they are drawn, modulo 2**32."""
        return self._row_sum

    @property
    def order(self) -> NDArray[np.int64]:
        """Refuse: no rank holds the order."""
        raise RuntimeError(
            'plan.order needs placement="replicated"; with "sharded" no rank holds the order: '
            "plan.slice(start, stop) gives a part of it, on all ranks together"
        )

    def rows_left_out(self) -> NDArray[np.int64]:
        """Rows that are left out of this epoch, ascending; the owned ones."""
        return np.concatenate([np.empty(0, np.int64), *self.left_out.chunks()])

    @cached_property
    def hidden(self) -> NDArray[np.int64]:
        """Ids of the owned rows that are left out of this epoch, ascending."""
        return self.ids(self.rows_left_out())

    def _members(self, hidden: bool) -> Members:
        return self.left_out if hidden else self.kept

    def _parts(
        self, hidden: bool
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32] | None]]:
        """Yield positions, rows and weights of the owned members, some at a time."""
        members = self._members(hidden)
        stream = Stream.HIDDEN_ORDER if hidden else Stream.ORDER
        done, given = members.before, host(self.weights)
        for rows in members.chunks():
            ranks = np.arange(done, done + len(rows))
            done += len(rows)
            positions = self.order_by.positions(ranks, members.count, self.random, stream)
            yield positions, rows, None if given is None else given[rows - self.first_row]

    def issued(self, start: int, stop: int) -> Iterator[NDArray[np.int64]]:
        """Yield the owned rows at positions [start, stop), counted from the first, in any order."""
        if self.is_whole(start, stop):
            yield from (rows - self.first_row for rows in self.kept.chunks())
            return
        for positions, rows, _ in self._parts(hidden=False):
            yield rows[(positions >= start) & (positions < stop)] - self.first_row

    @property
    def digest(self) -> str:
        """128 bits over (position, id, weight) of the whole order; collective when first asked."""
        if not self._digests:  # no cached_property: it holds a lock that ranks in threads share
            self._digests.append(self._digest())
        return self._digests[0]

    def _digest(self) -> str:
        total = 0
        for positions, rows, weights in self._parts(hidden=False):
            total += digest_of(self.random, positions, self.ids(rows), weights)
        limbs = [total >> 32 * limb & 0xFFFFFFFF for limb in range(_LIMBS)]
        sums = self.group.sum(np.array(limbs, np.uint64), self._what("the digest")).tolist()
        total = sum(limb << 32 * place for place, limb in enumerate(sums))
        return f"{total % (1 << 128):032x}"

    def _what(self, part: str) -> str:
        return f"{part} of the plan of epoch {self.random.epoch}"

    def source(self, steps: Steps, begin: int, stop: int, *, hidden: bool) -> Slice:
        """Return the function (first, last) -> rows; collective when the blocks are others."""
        delivered = self._delivered.get(hidden)
        if delivered is None or not delivered.serves(steps, begin, stop):
            delivered = self._deliver(steps, begin, stop, hidden)
            self._delivered[hidden] = delivered
        return delivered

    def _deliver(self, steps: Steps, begin: int, stop: int, hidden: bool) -> Delivered:
        what = self._what("the hidden samples" if hidden else "the order")
        weighted = self.weights is not None
        delivered = Delivered(steps, begin, stop, weighted=weighted)
        pad_at = (
            delivered._step(stop - 1)[0] if 0 < (stop - begin) % steps.rows < steps.size else -1
        )
        pad = np.empty(0, np.uint32)
        none = np.empty(0, np.int64), np.empty(0, np.int64), None
        rounds = self._members(hidden).num_chunks
        parts = self._parts(hidden)
        for _ in range(
            max(map(int, np.concatenate(self.group.all_gather(np.array([rounds]), what))))
        ):
            positions, rows, weights = next(parts, none)
            pad = np.append(pad, rows[positions == pad_at].astype(np.uint32))
            wanted = (positions >= begin) & (positions < stop)
            positions = positions[wanted]
            record = [positions.astype(np.uint32), rows[wanted].astype(np.uint32)]
            if weighted:
                sent = np.empty(0, np.float32) if weights is None else weights[wanted]
                record.append(sent.view(np.uint32))
            owners = steps.owners(positions, begin, stop)
            order = np.argsort(owners.astype(np.uint16), kind="stable")
            packets = np.stack(record, axis=1)[order]
            counts = np.bincount(owners, minlength=steps.size) * len(record)
            came = self.group.exchange(packets.reshape(-1), counts, what).reshape(-1, len(record))
            places = steps.places(came[:, 0].astype(np.int64), begin, stop)
            delivered.rows[places] = came[:, 1]
            if weighted:
                delivered.weights[places] = np.ascontiguousarray(came[:, 2]).view(np.float32)
        if pad_at >= 0:
            delivered.padded = np.concatenate(self.group.all_gather(pad, what))
        return delivered

    def slice(self, start: int, stop: int, *, hidden: bool = False) -> NDArray[np.int64]:
        """Ids at positions [start, stop) of the order; collective, with the same bounds."""
        length = self._members(hidden).count
        if not 0 <= start <= stop <= length:
            raise ValueError(f"start and stop must be in [0, {length}], got {start} and {stop}")
        ids = np.zeros(stop - start, np.int64)
        for positions, rows, _ in self._parts(hidden):
            wanted = (positions >= start) & (positions < stop)
            ids[positions[wanted] - start] = self.ids(rows[wanted])
        return self.group.sum(ids, self._what("a slice"))

    def weights_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Loss weights of rows that were delivered to this rank."""
        weights = np.ones(rows.shape, np.float32)
        if self.weights is None:
            return weights
        missing = np.ones(rows.shape, np.bool_)
        for delivered in self._delivered.values():
            places = delivered.find(rows)
            found = places >= 0
            weights[found] = delivered.weights[places[found]]
            missing &= ~found
        if missing.any():
            first = self.ids(rows[missing])[0]
            raise IndexError(f"index {first} was not issued to rank {self.group.rank}")
        return weights

    def allowed(self) -> None:
        """Return None: what other ranks were issued is not known here."""
        return None


def build_sharded_plan(
    selection: Selection,
    bounds: tuple[int, int],
    group: Group,
    *,
    random: EpochRandom,
    order: Order,
    index: NDArray[np.int64] | None,
) -> ShardedPlan:
    """Plan an epoch from what a policy selected of the rows [first, last) on every rank."""
    first, last = bounds
    check_selection(selection, last - first)
    what = f"the selection of epoch {random.epoch}"
    hidden, times = host(selection.hidden), host(selection.counts)
    if times is None:
        rows = kept_rows(selection, last - first)
        row_sum = int(rows.sum(dtype=np.uint32)) + first * len(rows)
        owned = [len(rows), last - first - len(rows), row_sum % _WORD]
    else:
        rows = np.arange(first, last, dtype=np.uint32)
        row_sum = int((rows * times.astype(np.uint32)).sum(dtype=np.uint32))
        owned = [int(times.sum(dtype=np.int64)), 0, row_sum]
    before = group.exclusive_scan(np.array(owned), what).tolist()
    total = group.sum(np.array(owned), what).tolist()
    if times is None:
        mask = np.zeros(last - first, np.bool_) if hidden is None else hidden
        drawn, left = np.packbits(~mask), np.packbits(mask)
    else:
        drawn = times.astype(np.min_scalar_type(times.max(initial=0)))
        left = np.zeros(-(-(last - first) // 8), np.uint8)
    return ShardedPlan(
        random=random,
        group=group,
        first_row=first,
        _row_sum=total[2] % _WORD,
        kept=Members(drawn, times is None, bounds, before[0], total[0]),
        left_out=Members(left, True, bounds, before[1], total[1]),
        weights=selection.weights,
        index=index,
        lr_scale=selection.lr_scale,
        refresh=selection.refresh,
        stats=selection.stats,
        repeated=selection.counts is not None,
        order_by=order,
    )
