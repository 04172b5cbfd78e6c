"""The plan of an epoch: its order, its hidden samples, its weights, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core, ops
from dynsample._checks import MAX_SAMPLES, integer, random_key
from dynsample.orders import Order, Slice, as_order
from dynsample.policies.base import EpochRandom, Selection

ORDER_STREAM = 0
HIDDEN_ORDER_STREAM = 1
_DIGEST_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class EpochPlan:
    """One epoch: members, order, weights. Made by `build_plan`.

    Attributes
    ----------
    random : EpochRandom
        Seed and epoch.
    members : uint32[M]
        Rows of the epoch in ascending order, as often as they are drawn.
    hidden_rows : uint32[H]
        Rows that are left out, ascending.
    weights : float32[N] or None
        Loss weight of every row; None means 1.
    index : int64[N] or None
        Id of every row; None where rows are ids.
    lr_scale, refresh, stats
        As in `Selection`.
    """

    random: EpochRandom
    num_rows: int
    members: NDArray[np.uint32]
    hidden_rows: NDArray[np.uint32]
    weights: NDArray[np.float32] | None
    index: NDArray[np.int64] | None
    lr_scale: float
    refresh: bool
    stats: Mapping[str, float]
    repeated: bool
    order_by: Order

    @property
    def num_positions(self) -> int:
        """Length of the epoch's order."""
        return len(self.members)

    @property
    def num_hidden(self) -> int:
        """Samples left out of this epoch."""
        return len(self.hidden_rows)

    @cached_property
    def _kept_slice(self) -> Slice:
        return self.order_by.arrange(self.members, self.random, ORDER_STREAM)

    @cached_property
    def _hidden_slice(self) -> Slice:
        return self.order_by.arrange(self.hidden_rows, self.random, HIDDEN_ORDER_STREAM)

    def _ids(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows if self.index is None else self.index[rows]

    def rows(self, start: int, stop: int, *, hidden: bool = False) -> NDArray[np.int64]:
        """Rows of the table at positions [start, stop) of the order, or of the hidden pass."""
        length = self.num_hidden if hidden else self.num_positions
        if not 0 <= start <= stop <= length:
            raise ValueError(f"start and stop must be in [0, {length}], got {start} and {stop}")
        return (self._hidden_slice if hidden else self._kept_slice)(start, stop)

    def slice(self, start: int, stop: int, *, hidden: bool = False) -> NDArray[np.int64]:
        """Ids at positions [start, stop) of the order, or of the pass over the hidden samples."""
        return self._ids(self.rows(start, stop, hidden=hidden))

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Ids of the whole epoch by position."""
        return self.slice(0, self.num_positions)

    @cached_property
    def hidden(self) -> NDArray[np.int64]:
        """Ids that are left out of this epoch, ascending."""
        return self._ids(self.hidden_rows.astype(np.int64))

    @cached_property
    def digest(self) -> str:
        """128 bits over (position, id, weight) of the whole order, as 32 hexadecimal digits."""
        total = 0
        for start in range(0, self.num_positions, _DIGEST_CHUNK):
            rows = self.rows(start, min(start + _DIGEST_CHUNK, self.num_positions))
            weights = np.empty(0, np.float32) if self.weights is None else self.weights[rows]
            high, low = _core.digest(
                self.random.seed, self.random.epoch, start, self._ids(rows), weights
            )
            total += high << 64 | low
        return f"{total % (1 << 128):032x}"

    def allowed(self) -> NDArray[np.bool_] | None:
        """Rows that this epoch issues at all; None when it issues every row."""
        if not self.repeated and (self.refresh or not self.num_hidden):
            return None
        mask = np.zeros(self.num_rows, np.bool_)
        mask[self.members] = True
        return mask

    def issued(self, kept_stop: int, hidden_stop: int) -> NDArray[np.unsignedinteger[Any]]:
        """How often each row was handed out, when this many positions of each pass were."""
        kept = self.members if kept_stop == self.num_positions else self.rows(0, kept_stop)
        if self.repeated:
            counts: NDArray[np.unsignedinteger[Any]] = np.bincount(
                kept, minlength=self.num_rows
            ).astype(np.uint32)
        else:
            counts = np.zeros(self.num_rows, np.uint8)
            counts[kept] = 1
        if hidden_stop == self.num_hidden:
            counts[self.hidden_rows] = 1
        else:
            counts[self.rows(0, hidden_stop, hidden=True)] = 1
        return counts


def build_plan(
    selection: Selection,
    num_samples: int,
    *,
    seed: int,
    epoch: int,
    order: str | Order = "random",
    index: NDArray[np.int64] | None = None,
) -> EpochPlan:
    """Plan an epoch from what a policy selected.

    Parameters
    ----------
    selection : Selection
        Its arrays have `num_samples` entries.
    num_samples : int in [0, 2**32 - 1]
    seed : int in [0, 2**64)
    epoch : int in [0, 2**32)
    order : "random", "sequential" or PageLocal
    index : int64[num_samples], optional
        Id of every row of the table, ascending; by default rows are ids.

    Returns
    -------
    EpochPlan
    """
    num_samples = integer(num_samples, "num_samples", 0, MAX_SAMPLES)
    seed, epoch, _ = random_key(seed, epoch)
    for name in ("hidden", "counts", "weights"):
        array = getattr(selection, name)
        if array is not None and array.shape != (num_samples,):
            raise ValueError(
                f"selection.{name} must have shape ({num_samples},), got {array.shape}"
            )
    if selection.counts is not None and selection.hidden is not None:
        raise ValueError("a selection gives counts or hidden, not both")
    members, hidden_rows = _members(selection, num_samples)
    return EpochPlan(
        random=EpochRandom(seed, epoch),
        num_rows=num_samples,
        members=members,
        hidden_rows=hidden_rows,
        weights=selection.weights,
        index=index,
        lr_scale=selection.lr_scale,
        refresh=selection.refresh,
        stats=selection.stats,
        repeated=selection.counts is not None,
        order_by=as_order(order),
    )


def _members(
    selection: Selection, num_samples: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    none = np.empty(0, np.uint32)
    if selection.counts is not None:
        return np.repeat(np.arange(num_samples, dtype=np.uint32), selection.counts), none
    if selection.hidden is None:
        return np.arange(num_samples, dtype=np.uint32), none
    return ops.mask_ids(selection.hidden, invert=True), ops.mask_ids(selection.hidden)
