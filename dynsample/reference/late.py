"""Oracle of plans that stay open: what late observations are of, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dynsample.reference.fold import fold
from dynsample.table.columns import Column, Max, Mean

ORDER_FREE = (Mean, Max)  # all others depend on the order of a row's observations

Place = tuple[int, int]  # epoch and position


class Observed(NamedTuple):
    """What a rank observed: the how many-th there, the rank, an id, its plan if named, a value."""

    number: int
    rank: int
    one: int
    plan: int | None
    value: float


@dataclass
class Issued:
    """A plan that others hand out.

    Attributes
    ----------
    number : int
        Its epoch.
    order : dict of int to int
        Ids by position: all of them while it is the current plan, then those that stayed open.
    kept : int
        Where the hidden pass begins.
    ids : set of int
        What it issues, open or not.
    handed : set of int
        Positions that were handed out since the epoch began or was loaded.
    iterated : set of bool
        Passes, hidden or not, of which an iterator was made since then.
    """

    number: int
    order: dict[int, int]
    kept: int
    ids: set[int]
    handed: set[int] = field(default_factory=set)
    iterated: set[bool] = field(default_factory=set)


class LateRun:
    """A run whose plans stay open for `late` epochs, on several ranks.

    Attributes
    ----------
    plans : list of Issued
        Oldest first; the last is the current one.
    stats : dict
        What came of the last boundary.
    coming : dict of bool to list of (int, int)
        What the next iterators of the kept and of the hidden pass give.
    """

    def __init__(
        self, num_samples: int, columns: Mapping[str, Column], signal: str, late: int
    ) -> None:
        self.columns, self.signal, self.late = columns, signal, late
        self.plans: list[Issued] = []
        self.stats: dict[str, int] = {}
        self.coming: dict[bool, list[Place]] = {False: [], True: []}
        self._log: list[Observed] = []
        self._surplus = 0  # in what a state brought
        self._taken: dict[Place, float] = {}  # what is settled: by a fold, or by a save
        self._in_table: set[Place] = set()
        self._newest: dict[int, int] = {}  # the newest plan in the table, by id
        self._parts = {name: column.allocate(num_samples) for name, column in columns.items()}
        self._seen = np.zeros(num_samples, np.bool_)

    @property
    def current(self) -> Issued:
        """The plan of the present epoch."""
        return self.plans[-1]

    def observe(self, rank: int, one: int, plan: int | None, value: float) -> None:
        """Note what a rank observes."""
        number = sum(other.rank == rank for other in self._log)
        self._log.append(Observed(number, rank, one, plan, value))

    def _settled(self) -> tuple[dict[Place, float], int]:
        """Give each observation the first free place of its id, and count those without one."""
        taken, surplus = dict(self._taken), self._surplus
        for each in sorted(self._log, key=lambda each: each[:2]):
            free = [
                (plan.number, place)
                for plan in self.plans
                if each.plan in (None, plan.number)
                for place in sorted(plan.order)
                if plan.order[place] == each.one and (plan.number, place) not in taken
            ]
            if free:
                taken[free[0]] = each.value
            else:
                surplus += 1
        return taken, surplus

    def _passes(self, plan: Issued) -> dict[bool, list[int]]:
        kept = [place for place in sorted(plan.order) if place < plan.kept]
        return {False: kept, True: [place for place in sorted(plan.order) if place >= plan.kept]}

    def _handed_out(self, plan: Issued, taken: Mapping[Place, float]) -> set[int]:
        """Positions that somebody was handed, by an iterator or, without any, by other means."""
        if plan is not self.current:
            return set(plan.order)
        handed = set(plan.handed)
        for hidden, places in self._passes(plan).items():
            observed = any((plan.number, place) in taken for place in places)
            if hidden not in plan.iterated and observed:
                handed |= set(places)
        return handed

    def outstanding(self) -> list[int]:
        """Return the ids that were handed out and not observed."""
        taken, _ = self._settled()
        return [
            plan.order[place]
            for plan in self.plans
            for place in sorted(self._handed_out(plan, taken))
            if (plan.number, place) not in taken
        ]

    def again(self) -> None:
        """Name the epoch again: what is not observed comes, of older plans first."""
        taken, _ = self._settled()
        for hidden in (False, True):
            self.coming[hidden] = [
                (plan.number, place)
                for plan in self.plans
                for place in self._passes(plan)[hidden]
                if (plan.number, place) not in taken
            ]

    def order(self, hidden: bool) -> list[int]:
        """Return the ids that the next iterator of a pass gives."""
        orders = {plan.number: plan.order for plan in self.plans}
        return [orders[number][place] for number, place in self.coming[hidden]]

    def hand(self, hidden: bool, count: int) -> list[int]:
        """Hand the first ids of a pass to a rank."""
        self.current.iterated.add(hidden)
        plans = {plan.number: plan for plan in self.plans}
        for number, place in self.coming[hidden][:count]:
            plans[number].handed.add(place)
        return self.order(hidden)[:count]

    def fold(self) -> None:
        """Fold what was observed, by plan and position."""
        taken, surplus = self._settled()
        late = ignored = 0
        rows = {(p.number, place): one for p in self.plans for place, one in p.order.items()}
        new = sorted(place for place in taken if place not in self._in_table)
        newest = dict(self._newest)
        for place in new:
            number, one = place[0], rows[place]
            superseded = self._newest.get(one, number) > number
            late += number != self.current.number
            ignored += superseded
            columns = {
                name: column
                for name, column in self.columns.items()
                if isinstance(column, ORDER_FREE) or not superseded
            }
            values = {self.signal: np.array([taken[place]], np.float32)}
            fold(np.array([one]), values, columns, self._parts, self._seen, epoch=number)
            newest[one] = max(newest.get(one, number), number)
        self._newest, self._taken, self._in_table = newest, taken, set(taken)
        self._log, self._surplus = [], 0
        self.stats = {"surplus": surplus, "late": late, "ignored": ignored}

    def begin(self, number: int, kept: Sequence[int], hidden: Sequence[int]) -> None:
        """Begin the plan of an epoch, when what was observed is folded or dropped."""
        expired, stay = 0, []
        due = {place for places in self.coming.values() for place in places}
        for plan in self.plans:
            handed = self._handed_out(plan, self._taken)
            again = set(plan.order) - plan.handed if plan is not self.current else set()
            due -= {(plan.number, place) for place in plan.order if place not in again}
            plan.order = {
                place: one
                for place, one in plan.order.items()
                if place in handed and (plan.number, place) not in self._taken
            }
            if number - self.late <= plan.number < number:
                stay.append(plan)
            else:
                expired += len(plan.order)
        for plan in stay:
            plan.handed = set()
        self.stats["expired"] = expired
        order = dict(enumerate([*kept, *hidden]))
        self.plans = [*stay, Issued(number, order, len(kept), set(order.values()))]
        self._taken = {place: self._taken[place] for place in self._taken if place[0] != number}
        self._in_table = {place for place in self._in_table if place[0] != number}
        self.again()
        for hidden_pass, places in self.coming.items():
            self.coming[hidden_pass] = [
                place for place in places if place[0] == number or place in due
            ]

    def drop(self) -> None:
        """Drop what was observed since the last fold, and the current plan."""
        self._log, self._surplus = [], 0
        self._taken = {place: self._taken[place] for place in self._in_table}
        self.current.order = {}
        self.stats = {"surplus": 0, "late": 0, "ignored": 0}

    def go_on(self, late: int) -> int:
        """Save, and go on from that where nothing is handed out; return the least `late`."""
        self._taken, self._surplus = self._settled()
        self._log, self.late = [], late
        least = 0
        for plan in self.plans:
            plan.handed, plan.iterated = set(), set()
            if plan is not self.current:
                places = [(plan.number, place) for place in plan.order]
                plan.order = {p[1]: plan.order[p[1]] for p in places if p not in self._in_table}
                plan.ids = set(plan.order.values())
                if any((plan.number, place) not in self._taken for place in plan.order):
                    least = max(least, self.current.number - plan.number)
        self.plans = [plan for plan in self.plans if plan.order or plan is self.current]
        self.again()
        return least

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the content of the table."""
        flat = {f"{n}/{p}": array for n, parts in self._parts.items() for p, array in parts.items()}
        return {**flat, "seen": self._seen}
