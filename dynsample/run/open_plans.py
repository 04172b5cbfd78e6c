"""The plans that observations may still be of, where others hand them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.convert import host
from dynsample.plan.plan import EpochPlan, WholePlan

if TYPE_CHECKING:
    from dynsample.disk.state_files import Tensors
    from dynsample.plan.plan import Plan

Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class OpenPlan:
    """A plan as far as it is open: places that an observation may belong to.

    Those of the current plan are all its positions; those of one that was left are what was handed
    out and not observed then. They ascend, first the kept pass, then the hidden one.

    Attributes
    ----------
    number : int
        Its epoch.
    rows : uint32[M]
    kept : int
        Places of the kept pass.
    positions : int64[M] or None
        Of the places in the plan; None: they are the positions.
    observed : bool[M]
        Places whose observation is in the table.
    superseded : bool[M]
        Places of whose row the table has an observation of a newer plan.
    issued : bool[N] or None
        Rows that the plan issues, open or not; None for all.
    weights : float32[N] or None
        Loss weights of these rows; None is 1 for all.
    """

    number: int
    rows: NDArray[np.uint32]
    kept: int
    positions: NDArray[np.int64] | None
    observed: Mask
    superseded: Mask
    issued: Mask | None = None
    weights: NDArray[np.float32] | None = None

    @classmethod
    def whole(cls, plan: Plan) -> OpenPlan:
        """Open all positions of a plan."""
        rows = issued_rows(plan)
        observed, superseded = np.zeros((2, len(rows)), np.bool_)
        return cls(plan.random.epoch, rows, plan.num_positions, None, observed, superseded)

    @classmethod
    def nothing(cls, number: int, num_rows: int) -> OpenPlan:
        """Open nothing of a plan that is not known."""
        none = np.empty(0, np.bool_)
        rows, positions = np.empty(0, np.uint32), np.empty(0, np.int64)
        return cls(number, rows, 0, positions, none, none, np.zeros(num_rows, np.bool_))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def hidden(self) -> Mask:
        """Places of the hidden pass, bool[M]."""
        return np.arange(len(self)) >= self.kept

    def positions_of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the positions that places are."""
        return places if self.positions is None else self.positions[places]

    def places_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places that positions are.

        Raises
        ------
        ValueError
            For a position that is not among them.
        """
        given, places = self.positions, positions
        if given is not None and len(given):
            places = np.searchsorted(given, positions)
            wrong = given[np.minimum(places, len(given) - 1)] != positions
        else:
            wrong = (places < 0) | (places >= len(self))
        if wrong.any():
            raise ValueError(
                f"ticket must be an open position of epoch {self.number}, got {positions[wrong][0]}"
            )
        return places

    def with_places(self, positions: NDArray[np.int64], rows: NDArray[np.uint32]) -> OpenPlan:
        """Return the plan with the places at some positions too, of which all was observed."""
        assert self.positions is not None
        first_hidden = self.positions[self.kept] if self.kept < len(self) else np.iinfo(int).max
        every, first = np.unique(np.concatenate([self.positions, positions]), return_index=True)
        more = np.zeros(len(positions), np.bool_)
        return replace(
            self,
            rows=np.concatenate([self.rows, rows])[first],
            kept=int(np.count_nonzero(every < first_hidden)),
            positions=every,
            observed=np.concatenate([self.observed, more])[first],
            superseded=np.concatenate([self.superseded, more])[first],
        )

    def left(self, handed: Mask, plan: Plan | None = None) -> OpenPlan:
        """Return what stays open of what was handed out; of `plan` when it is the current one."""
        still = handed & ~self.observed
        one = replace(
            self,
            rows=self.rows[still],
            kept=int(np.count_nonzero(still[: self.kept])),
            positions=self.positions_of(np.flatnonzero(still)),
            observed=self.observed[still],
            superseded=self.superseded[still],
        )
        if plan is None or self.positions is not None:
            return one
        allowed = plan.allowed()
        weights = plan.weights if isinstance(plan, EpochPlan) else None
        return replace(one, issued=None if allowed is None else host(allowed), weights=weights)


class Left(NamedTuple):
    """What stays open when a plan is left for the next.

    Attributes
    ----------
    plans : tuple of OpenPlan
    due : bool[M]
        Their places that were not handed out again since a load.
    expired : list of (int, int)
        Epochs that are open no more, and how many of their positions were never observed.
    """

    plans: tuple[OpenPlan, ...] = ()
    due: Mask = np.empty(0, np.bool_)
    expired: Sequence[tuple[int, int]] = ()


def starts_of(plans: Sequence[OpenPlan]) -> list[int]:
    """Return where the places of each plan begin when they follow each other, and the end."""
    return [0, *np.cumsum([len(each) for each in plans]).tolist()]


def joined_rows(plans: Sequence[OpenPlan]) -> NDArray[np.uint32]:
    """Return the rows of all places."""
    return np.concatenate([np.empty(0, np.uint32), *(each.rows for each in plans)])


def joined(parts: Sequence[Mask]) -> Mask:
    """Return masks of the places of plans as one of all places."""
    return np.concatenate([np.empty(0, np.bool_), *parts])


def cut(plans: Sequence[OpenPlan], of_all: Mask) -> Iterator[Mask]:
    """Yield a mask of all places plan by plan."""
    starts = starts_of(plans)
    for begin, end in pairwise(starts):
        yield of_all[begin:end]


def folded(plans: Sequence[OpenPlan], observed: Mask, num_rows: int) -> tuple[OpenPlan, ...]:
    """Return the plans when observations of the given places, of all, are in the table too."""
    newer = np.zeros(num_rows if len(plans) > 1 else 0, np.bool_)
    after: list[OpenPlan] = []
    for each, here in reversed([*zip(plans, cut(plans, observed), strict=True)]):
        superseded = each.superseded | newer[each.rows] if after else each.superseded
        after.append(replace(each, observed=each.observed | here, superseded=superseded))
        if len(plans) > 1:
            newer[each.rows[here]] = True
    return tuple(reversed(after))


def issued_rows(plan: Plan) -> NDArray[np.uint32]:
    """Return the rows of both passes by position, uint32[P + H]."""
    assert isinstance(plan, WholePlan)
    passes = [plan.rows(0, plan.num_positions)]
    if plan.refresh:
        passes.append(plan.rows(0, plan.num_hidden, hidden=True))
    return np.concatenate(passes).astype(np.uint32)


def allowed_of(plans: Sequence[OpenPlan], current: Mask | None) -> Mask | None:
    """Return the rows that any plan issues, bool[N], None for all; `current` is the newest's."""
    allowed = current
    for each in plans:
        allowed = None if allowed is None or each.issued is None else allowed | each.issued
    return allowed


def to_tensors(plans: Sequence[OpenPlan]) -> Tensors:
    """Return what a state holds of plans that were left: their open places, as tensors."""
    numbers, positions = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    weights = [np.empty(0, np.float32)]
    for each in plans:
        ones = np.ones(len(each), np.float32)
        numbers.append(np.full(len(each), each.number))
        positions.append(each.positions_of(np.arange(len(each))))
        weights.append(ones if each.weights is None else each.weights[each.rows])
    return {
        "epoch": np.concatenate(numbers),
        "position": np.concatenate(positions),
        "row": joined_rows(plans),
        "hidden": joined([each.hidden for each in plans]),
        "superseded": joined([each.superseded for each in plans]),
        "weight": np.concatenate(weights),
    }


_KINDS = {
    "epoch": "int64",
    "position": "int64",
    "row": "uint32",
    "hidden": "bool",
    "superseded": "bool",
    "weight": "float32",
}


def from_tensors(saved: Tensors, num_rows: int) -> tuple[OpenPlan, ...]:
    """Return the plans that `to_tensors` described.

    Raises
    ------
    ValueError
        When these are not the places of plans.
    """
    count = len(saved.get("epoch", ()))
    for name, kind in _KINDS.items():
        if name not in saved or saved[name].dtype != kind or saved[name].shape != (count,):
            raise ValueError(f"{name} must be {kind}, one for each open position")
    epochs, positions, rows = saved["epoch"], saved["position"], saved["row"]
    if count and rows.max() >= num_rows:
        raise ValueError(f"row must be in [0, {num_rows}), got {rows.max()}")
    ascend = np.lexsort((positions, saved["hidden"], epochs))
    twice = (np.diff(epochs) == 0) & (np.diff(positions) == 0)
    if (ascend != np.arange(count)).any() or twice.any() or (count and positions.min() < 0):
        raise ValueError("positions must ascend within their epoch")
    plans = []
    for number in np.unique(epochs).tolist():
        here = epochs == number
        issued, weights = np.zeros(num_rows, np.bool_), np.ones(num_rows, np.float32)
        issued[rows[here]], weights[rows[here]] = True, saved["weight"][here]
        plans.append(
            OpenPlan(
                number, rows[here], int(np.count_nonzero(~saved["hidden"][here])), positions[here],
                np.zeros(np.count_nonzero(here), np.bool_), saved["superseded"][here], issued,
                weights,
            )
        )  # fmt: skip
    return tuple(plans)
