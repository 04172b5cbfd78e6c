"""The plan of an epoch: its order, its hidden samples, its weights, and what follows from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample._core import Stream
from dynsample.kernels import Array
from dynsample.kernels.checks import MAX_SAMPLES, integer, random_key
from dynsample.kernels.convert import as_ids, host, is_tensor
from dynsample.plan.dealing import Steps
from dynsample.plan.orders import Order, Slice, as_order
from dynsample.plan.selection import EpochRandom, Selection

_DIGEST_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Plan(ABC):
    """What is fixed for one epoch, whichever ranks hold the order.

    Attributes
    ----------
    random : EpochRandom
        Seed and epoch.
    weights : float32[N] or None
        Loss weight of every row of the table; None means 1. A tensor where the table is on a GPU.
    index : int64[N] or None
        Id of every row; None where rows are ids.
    lr_scale, refresh, stats
        As in `Selection`.
    repeated : bool
        Whether a row can come more than once.
    """

    random: EpochRandom
    weights: Array | None
    index: NDArray[np.int64] | None
    lr_scale: float
    refresh: bool
    stats: Mapping[str, float]
    repeated: bool
    order_by: Order

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(epoch={self.random.epoch}, seed={self.random.seed}, "
            f"num_positions={self.num_positions}, num_hidden={self.num_hidden}, "
            f"lr_scale={self.lr_scale:g})"
        )

    @property
    @abstractmethod
    def num_positions(self) -> int:
        """Length of the epoch's order."""

    @property
    @abstractmethod
    def num_hidden(self) -> int:
        """Samples left out of this epoch."""

    @property
    @abstractmethod
    def order(self) -> NDArray[np.int64]:
        """Ids of the whole epoch by position, where a rank holds it."""

    @abstractmethod
    def slice(self, start: int, stop: int, *, hidden: bool = False) -> NDArray[np.int64]:
        """Ids at positions [start, stop) of the order, or of the pass over the hidden samples."""

    @abstractmethod
    def rows_left_out(self) -> NDArray[np.int64]:
        """Rows that are left out of this epoch, ascending; the owned ones when sharded."""

    @property
    @abstractmethod
    def hidden(self) -> NDArray[np.int64]:
        """Ids that are left out of this epoch, ascending; those of the owned rows when sharded."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """128 bits over (position, id, weight) of the whole order, as 32 hexadecimal digits."""

    @abstractmethod
    def source(self, steps: Steps, begin: int, stop: int, *, hidden: bool) -> Slice:
        """Return the function (first, last) -> rows, for this rank's blocks of [begin, stop)."""

    @abstractmethod
    def weights_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Loss weights of rows that were issued to this rank."""

    @abstractmethod
    def allowed(self) -> Array | None:
        """Rows that this epoch issues at all; None when it issues every row, or none knows."""

    @abstractmethod
    def issued(self, start: int, stop: int) -> Iterator[Array]:
        """Yield the rows at positions [start, stop), in any order: int64, where the plan is.

        As often as they stand there, some at a time; when sharded the owned ones, counted from the
        first that is owned.
        """

    @property
    @abstractmethod
    def row_sum(self) -> int:
        """Sum of the epoch's rows, as often as they are drawn, modulo 2**32."""

    def is_whole(self, start: int, stop: int) -> bool:
        """Whether positions [start, stop) are all of the order."""
        return start == 0 and stop == self.num_positions

    def summary(self) -> dict[str, float]:
        """Figures that differ, in all likelihood, when another selection was made.

        They are those of the plan, whatever kind of plan it is and whoever holds it.
        """
        return {
            "num_positions": self.num_positions,
            "num_hidden": self.num_hidden,
            "sum of rows": self.row_sum,
            "lr_scale": self.lr_scale,
        }

    def ids(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Data-set ids of rows."""
        return rows if self.index is None else self.index[rows]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class WholePlan(Plan):
    """A plan whose whole order this rank can give.

    Attributes
    ----------
    members : uint32[M]
        Rows of the epoch in ascending order, as often as they are drawn.
    """

    num_rows: int
    members: Array

    @property
    def num_positions(self) -> int:
        """Length of the epoch's order."""
        return len(self.members)

    @property
    def num_hidden(self) -> int:
        """Samples left out of this epoch; none where some are drawn more than once."""
        return 0 if self.repeated else self.num_rows - len(self.members)

    @property
    @abstractmethod
    def hidden_rows(self) -> Array:
        """Rows that are left out, uint32[H], ascending."""

    @abstractmethod
    def _arrange(self, hidden: bool) -> Slice:
        """Put the order, or the hidden pass, together."""

    @cached_property
    def _kept_slice(self) -> Slice:
        return self._arrange(False)

    @cached_property
    def _hidden_slice(self) -> Slice:
        return self._arrange(True)

    def __getstate__(self) -> dict[str, object]:
        """Leave out what is a function made here, and is made again."""
        made = {"_kept_slice", "_hidden_slice"}
        return {name: value for name, value in vars(self).items() if name not in made}

    def arranged(self, hidden: bool) -> Slice:
        """Return the function (first, last) -> rows of the order, or of the hidden pass."""
        return self._hidden_slice if hidden else self._kept_slice

    @abstractmethod
    def weights_at(self, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Loss weights of rows; None where all are 1."""

    def rows(self, start: int, stop: int, *, hidden: bool = False) -> NDArray[np.int64]:
        """Rows of the table at positions [start, stop) of the order, or of the hidden pass."""
        length = self.num_hidden if hidden else self.num_positions
        if not 0 <= start <= stop <= length:
            raise ValueError(f"start and stop must be in [0, {length}], got {start} and {stop}")
        return self.arranged(hidden)(start, stop)

    def source(self, steps: Steps, begin: int, stop: int, *, hidden: bool) -> Slice:
        """Return the function (first, last) -> rows; here of any positions."""
        return self.arranged(hidden)

    def weights_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Loss weights of rows."""
        weights = self.weights_at(rows)
        return np.ones(rows.shape, np.float32) if weights is None else weights

    def slice(self, start: int, stop: int, *, hidden: bool = False) -> NDArray[np.int64]:
        """Ids at positions [start, stop) of the order, or of the pass over the hidden samples."""
        return self.ids(self.rows(start, stop, hidden=hidden))

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Ids of the whole epoch by position."""
        return self.slice(0, self.num_positions)

    @cached_property
    def hidden(self) -> NDArray[np.int64]:
        """Ids that are left out of this epoch, ascending."""
        return self.ids(self.rows_left_out())

    @cached_property
    def digest(self) -> str:
        """128 bits over (position, id, weight) of the whole order, as 32 hexadecimal digits."""
        total = 0
        for start in range(0, self.num_positions, _DIGEST_CHUNK):
            stop = min(start + _DIGEST_CHUNK, self.num_positions)
            rows = self.rows(start, stop)
            ids, weights = self.ids(rows), self.weights_at(rows)
            total += digest_of(self.random, np.arange(start, stop), ids, weights)
        return f"{total % (1 << 128):032x}"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class EpochPlan(WholePlan):
    """One epoch: members, order, weights. Made by `build_plan`.

    Examples
    --------
    >>> plan = ds.build_plan(ds.Selection(), 5, seed=0, epoch=0)
    >>> plan.num_positions, plan.slice(2, 4).tolist() == plan.order[2:4].tolist()
    (5, True)
    """

    members: NDArray[np.uint32]
    weights: NDArray[np.float32] | None

    @cached_property
    def hidden_rows(self) -> NDArray[np.uint32]:
        """Rows that are left out, uint32[H], ascending."""
        return _core.mask_ids(self._drawn(), True) if self.num_hidden else np.empty(0, np.uint32)

    def _drawn(self) -> NDArray[np.bool_]:
        mask = np.zeros(self.num_rows, np.bool_)
        mask[self.members] = True
        return mask

    def weights_at(self, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Loss weights of rows; None where all are 1."""
        return None if self.weights is None else self.weights[rows]

    def rows_left_out(self) -> NDArray[np.int64]:
        """Rows that are left out of this epoch, ascending."""
        return self.hidden_rows.astype(np.int64)

    def _arrange(self, hidden: bool) -> Slice:
        if hidden:
            return self.order_by.arrange(self.hidden_rows, self.random, Stream.HIDDEN_ORDER)
        return self.order_by.arrange(self.members, self.random, Stream.ORDER)

    def allowed(self) -> NDArray[np.bool_] | None:
        """Rows that this epoch issues at all; None when it issues every row."""
        every = not self.repeated and (self.refresh or not self.num_hidden)
        return None if every else self._drawn()

    def issued(self, start: int, stop: int) -> Iterator[NDArray[np.int64]]:
        """Yield the rows at positions [start, stop), in any order."""
        whole = self.is_whole(start, stop)
        yield self.members.astype(np.int64) if whole else self.rows(start, stop)

    @property
    def row_sum(self) -> int:
        """Sum of the epoch's rows, as often as they are drawn, modulo 2**32."""
        return int(self.members.sum(dtype=np.uint32))


def digest_of(
    random: EpochRandom,
    positions: NDArray[np.int64],
    ids: NDArray[np.int64],
    weights: NDArray[np.float32] | None,
) -> int:
    """Sum of the 128-bit hashes of (position, id, weight); those of parts add up."""
    given = np.empty(0, np.float32) if weights is None else weights
    high, low = _core.digest(random.seed, random.epoch, positions, ids, given)
    return high << 64 | low


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
    index : int[num_samples], optional
        Id of every row of the table, ascending; by default rows are ids.

    Returns
    -------
    EpochPlan

    Examples
    --------
    >>> plan = ds.build_plan(ds.Selection(hidden=[False, True, False]), 3, seed=0, epoch=0)
    >>> sorted(plan.order.tolist()), plan.hidden.tolist()
    ([0, 2], [1])
    """
    num_samples = integer(num_samples, "num_samples", 0, MAX_SAMPLES)
    seed, epoch, _ = random_key(seed, epoch)
    selection = on_host(selection)
    check_selection(selection, num_samples)
    return EpochPlan(
        random=EpochRandom(seed, epoch),
        num_rows=num_samples,
        members=kept_rows(selection, num_samples),
        weights=host(selection.weights),
        index=None if index is None else as_ids(index),
        lr_scale=selection.lr_scale,
        refresh=selection.refresh,
        stats=selection.stats,
        repeated=selection.counts is not None,
        order_by=as_order(order),
    )


def on_host(selection: Selection) -> Selection:
    """Return a selection whose arrays, tensors in host memory perhaps, are of numpy."""
    arrays = {name: getattr(selection, name) for name in ("hidden", "counts", "weights")}
    tensors: dict[str, Any] = {
        name: host(array) for name, array in arrays.items() if is_tensor(array)
    }
    return replace(selection, **tensors) if tensors else selection


def check_selection(selection: Selection, num_rows: int) -> None:
    """Raise when a selection is not of this many rows."""
    for name in ("hidden", "counts", "weights"):
        array = getattr(selection, name)
        if array is not None and array.shape != (num_rows,):
            raise ValueError(f"selection.{name} must have shape ({num_rows},), got {array.shape}")
    if selection.counts is not None and selection.hidden is not None:
        raise ValueError("a selection gives counts or hidden, not both")


def kept_rows(selection: Selection, num_rows: int) -> NDArray[np.uint32]:
    """Rows of the epoch, as often as they are drawn, ascending."""
    counts, hidden = host(selection.counts), host(selection.hidden)
    if hidden is not None:
        return _core.mask_ids(hidden, True)
    rows = np.arange(num_rows, dtype=np.uint32)
    return rows if counts is None else np.repeat(rows, counts)
