"""What was observed of plans that others hand out: every rank may have any of their positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dynsample import _core
from dynsample.kernels.convert import host
from dynsample.run import open_plans
from dynsample.run.ledger import PADDED, UNKNOWN, Ledger, Rows, Settled, Tickets
from dynsample.run.open_plans import Left, Mask, OpenPlan, joined, joined_rows, starts_of
from dynsample.table.log import ObservationLog, Portion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dynsample.disk.state_files import Tensors
    from dynsample.groups import Group
    from dynsample.plan.plan import Plan
    from dynsample.table.places import Log


class ExternalLedger(Ledger):
    """The ledger of plans that are issued whole, on every rank: the current one, and older ones.

    The observations of all ranks are settled together, by their numbers on their ranks, and then by
    rank: each belongs to the first free place of its row, of the oldest plan first or of the plan
    that it names, and is surplus when there is none. A ticket here is a place: positions of the
    current plan follow the places of the older ones.

    Parameters
    ----------
    log, folded
        See `Ledger`.
    late : int
        For how many epochs plans stay open.
    older : tuple of OpenPlan
        Plans that are open beside the current one, oldest first.
    """

    def __init__(
        self,
        log: Log,
        folded: int | None = None,
        late: int = 0,
        older: tuple[OpenPlan, ...] = (),
    ) -> None:
        super().__init__(log, folded)
        self.late, self.older = late, older
        self._current: OpenPlan | None = None
        # What the plans are when so many observations were folded.
        self._after: tuple[int, tuple[OpenPlan, ...]] | None = None
        # What is in the log already came late for the epoch before.
        self._first_issue = len(log) if folded is None and not late else 0

    def plans(self, plan: Plan) -> tuple[OpenPlan, ...]:
        """Return the open plans, oldest first, with what of them is in the table."""
        if self._after is not None and self._after[0] == self.log.num_folded:
            return self._after[1]
        if self._current is None:
            self._current = OpenPlan.whole(plan)
        return (*self.older, self._current)

    @property
    def first(self) -> int:
        """The place of the current plan's first position."""
        return sum(map(len, self.older))

    @property
    def extended(self) -> bool:
        """Whether a state of it says which plans its observations are of."""
        return self.late > 0 or bool(self.older)

    def open_numbers(self, plan: Plan) -> list[int]:
        """Return the epochs that observations may name, oldest first."""
        older = self.older if self.late else ()
        return [*(each.number for each in older), plan.random.epoch]

    def allow(self, plan: Plan) -> None:
        """Have the log, on the host, refuse what no open plan issues."""
        allowed = plan.allowed()
        current = None if allowed is None else host(allowed)
        if self._current is not None and self._current.positions is not None:
            current = self._current.issued  # of the plan there was, as far as that is known
        assert not self.log.on_device
        if not self.late:
            self.log.set_allowed(current)
            return
        of_plans = {each.number: each.issued for each in self.older}
        of_plans[plan.random.epoch] = current
        self.log.set_allowed(open_plans.allowed_of(self.older, current), of_plans)

    def settle(self, plan: Plan, group: Group, what: str) -> Settled:
        """Settle which places the observations of all ranks belong to. Collective."""
        if not self.late and group.size == 1 and self._in_order(plan):
            return Settled([self.portion(plan, group, None)])
        plans = self.plans(plan)
        tickets, observed = self._settled(plan, group, what)
        observed &= ~joined([each.observed for each in plans])
        superseded = observed & joined([each.superseded for each in plans])
        counts = [np.count_nonzero(tickets == kind) for kind in (UNKNOWN, PADDED)]
        not_issued, surplus = group.sum(np.array(counts), what).tolist()
        after = open_plans.folded(plans, observed, self.log.num_samples)
        self._after = self.log.num_folded + self.log.num_closed, after
        return Settled(
            self._portions(plan, plans, group, tickets, observed),
            not_issued,
            surplus,
            late=int(np.count_nonzero(observed[: self.first])),
            ignored=int(np.count_nonzero(superseded)),
        )

    def _in_order(self, plan: Plan) -> bool:
        """Whether all observations of one process count for the current plan, in call order."""
        self.log.close()
        if self.first or self._after is not None or self._num_before():
            return False
        current = self.plans(plan)[-1]
        if current.positions is not None:  # of a state: only places that are open, or were observed
            return False
        return _core.all_issued(current.rows, self.log.native, 0, not plan.repeated)

    def _portions(
        self,
        plan: Plan,
        plans: tuple[OpenPlan, ...],
        group: Group,
        tickets: Tickets,
        observed: Mask,
    ) -> list[Portion]:
        """Return what is folded alike: plan by plan, oldest first, on all ranks the same.

        Observations that are superseded, by those of a newer plan in the table, are apart.
        """
        whole, portions = self.portion(plan, group, tickets), []
        if plans[0].positions is None:  # the oldest is the current one
            return [whole]
        for each, start, new in zip(
            plans, starts_of(plans), open_plans.cut(plans, observed), strict=False
        ):
            mine = (tickets >= start) & (tickets < start + len(each))
            for superseded in (False, True):
                which = each.superseded == superseded
                if not (new & which).any():
                    continue
                here = mine.copy()
                here[mine] = which[tickets[mine] - start]
                positions = np.where(here, tickets - start, PADDED)
                by_ticket = each.positions is not None or whole.by_ticket
                portions.append(Portion(each.number, positions, superseded, by_ticket))
        return portions or [whole]

    def _settled(self, plan: Plan, group: Group, what: str) -> tuple[Tickets, Mask]:
        """Ticket of every observation of this rank, and which places any rank has observed."""
        self.log.close()
        before, carried, plans = self._num_before(), self.carried, self.plans(plan)
        rows = joined_rows(plans)
        observed = joined([each.observed for each in plans])
        theirs = np.concatenate(group.all_gather(carried, what))
        observed[theirs[theirs >= 0]] = True
        parts = group.all_gather(self.log.index()[before:], what)
        numbers = np.concatenate([np.arange(len(part)) for part in parts])
        in_turn = np.argsort(numbers, kind="stable")
        free = np.flatnonzero(~observed)
        named = self._named(plan, before, group, what)
        places: NDArray[np.int64]
        if named is None:
            log = ObservationLog(self.log.num_samples, [])
            log.restore(np.concatenate(parts)[in_turn], {})
            places, _ = _core.match(rows[free], log.native, 0)
        else:
            # What names a plan that is open no more is of the last of these, which has no places.
            starts = [*np.searchsorted(free, starts_of(plans)).tolist(), len(free)]
            places = _core.match_plans(
                rows[free],
                starts,
                np.concatenate(parts)[in_turn],
                named[in_turn],
                self.log.num_samples,
            )
        taken = np.append(free, PADDED)[places]
        observed[taken[taken >= 0]] = True
        tickets = np.empty_like(taken)
        tickets[in_turn] = taken
        begin = sum(len(part) for part in parts[: group.rank])
        own = tickets[begin : begin + len(parts[group.rank])]
        late = np.full(before - len(carried), UNKNOWN)
        return np.concatenate([carried, late, own]), observed

    def _named(self, plan: Plan, before: int, group: Group, what: str) -> NDArray[np.int32] | None:
        """Return which open plan each observation of all ranks names, -1 for none.

        One that is open no more is behind the last; None when no observation names any.
        """
        if not self.late:
            return None
        assert not self.log.on_device
        here = self.log.named()
        here = np.full(self.log.num_closed, -1) if here is None else here
        epochs = np.concatenate(group.all_gather(here[before:], what))
        if (epochs < 0).all():
            return None
        numbers = np.array(self.open_numbers(plan))
        places = np.searchsorted(numbers, epochs)
        is_open = np.append(numbers, -1)[places] == epochs
        named = np.where(is_open, places, len(numbers))
        return np.where(epochs < 0, -1, named).astype(np.int32)

    def used(self, plan: Plan, group: Group, what: str) -> Mask:
        """Return the places that were observed, or consumed without that, by any rank.

        Collective.

        Returns
        -------
        bool[T], of the older plans, and then of the kept and the hidden pass of the current one;
        the same on all ranks
        """
        _, used = self._settled(plan, group, what)
        used[self.first + np.concatenate(group.all_gather(self.outstanding[1], what))] = True
        return used

    def opened(self, plan: Plan, handed: Mask | None) -> tuple[OpenPlan, ...]:
        """Return the plans that a state holds beside the current one, with what is open of them.

        The current one is among them when it is over: of `handed` places, bool[T], then.
        """
        plans = self.plans(plan)
        if handed is None:
            plans = plans[:-1]
            handed = np.ones(self.first, np.bool_)
        handed[: self.first] = True
        return tuple(
            each.left(here | (each.positions is not None), plan)
            for each, here in zip(plans, open_plans.cut(plans, handed), strict=True)
        )

    def leave(self, plan: Plan, handed: Mask, used: Mask | None, number: int) -> Left:
        """Return what stays open when epoch `number` begins.

        Parameters
        ----------
        plan : Plan
            That of the epoch that is left.
        handed : bool[T]
            Places that any rank was handed since the epoch began or was loaded.
        used : bool[T] or None
            `Epoch.used`.
        number : int
        """
        plans, kept, due, expired = self.plans(plan), [], [], []
        again = np.zeros(len(handed), np.bool_) if used is None else ~(used | handed)
        for each, here, missed in zip(
            plans, open_plans.cut(plans, handed), open_plans.cut(plans, again), strict=True
        ):
            current = each is plans[-1] and each.positions is None
            here = here if current else np.ones(len(each), np.bool_)
            left = each.left(here, plan if current else None)
            if number - self.late <= each.number < number:
                kept.append(left)
                missed = missed[here & ~each.observed]
                due.append(np.zeros_like(missed) if current else missed)
            elif len(left):
                expired.append((each.number, len(left)))
        return Left(tuple(kept), joined(due), expired)

    def state_of(
        self, plan: Plan, consumed: Tickets, group: Group, what: str
    ) -> tuple[Tensors, Mask]:
        """Return the log with its tickets, and what was consumed and not observed; and all used.

        Collective.

        Parameters
        ----------
        plan : Plan
        consumed : int64[C]
            Places that the loops of all ranks used, whether they observed them or not.
        group : Group
        what : str
        """
        tickets, used = self._settled(plan, group, what)
        plans, first = self.plans(plan), self.first
        before = first + np.concatenate(group.all_gather(self.outstanding[1], what))
        consumed = np.setdiff1d(consumed, before)
        mine = np.array_split(consumed, group.size)[group.rank]
        places = np.concatenate([first + self.outstanding[1], mine])
        places = places[~used[places]]
        if self.folded:  # the epoch is over, and what was observed of it is no longer known
            places = places[:0]
        used[np.concatenate([before, consumed])] = True
        positions, epochs, superseded = tickets.copy(), np.full(len(tickets), -1), tickets < 0
        for each, start in zip(plans, starts_of(plans), strict=False):
            here = np.flatnonzero((tickets >= start) & (tickets < start + len(each)))
            positions[here] = each.positions_of(tickets[here] - start)
            epochs[here], superseded[here] = each.number, each.superseded[tickets[here] - start]
        arrays = self._arrays(positions, joined_rows(plans)[places], places - first)
        if self.extended:
            arrays |= {"epoch": epochs, "superseded": superseded}
        return arrays, used

    def open(
        self,
        plan: Plan,
        observed: Tensors,
        opened: tuple[OpenPlan, ...],
        group: Group,
        *,
        known: bool,
    ) -> None:
        """Open what a state holds as open. Collective.

        Parameters
        ----------
        plan : Plan
            Of the epoch of the state.
        observed : dict of str to array
            What `state_of` gave, of this or of other ranks.
        opened : tuple of OpenPlan
            Those that the state holds beside its current one.
        group : Group
        known : bool
            Whether the state is of `plan`. Otherwise places of its own plan are what is in `opened`
            and what was observed.
        """
        number, tickets = plan.random.epoch, observed["ticket"]
        self.older = tuple(each for each in opened if each.number < number)
        if known:
            return
        here = (tickets >= 0) & (observed.get("epoch", number) == number)
        what = f"what is known of epoch {number}"
        theirs = [group.all_gather(part[here], what) for part in (tickets, observed["index"])]
        empty = OpenPlan.nothing(number, self.log.num_samples)
        own = next((each for each in opened if each.number == number), empty)
        self._current = own.with_places(*map(np.concatenate, theirs))

    def tickets_of(self, plan: Plan, observed: Tensors) -> Tickets:
        """Return the tickets here of observations of a state.

        Raises
        ------
        ValueError
            When one is no place of its plan.
        """
        plans, given = self.plans(plan), observed["ticket"]
        epochs = observed.get("epoch", np.full(len(given), plan.random.epoch))
        tickets = np.where(given < 0, given, UNKNOWN)
        for each, start in zip(plans, starts_of(plans), strict=False):
            here = (given >= 0) & (epochs == each.number)
            tickets[here] = start + each.places_of(given[here])
        return tickets


def open_weights(
    ledger: ExternalLedger, plan: Plan, rows: Rows, number: int | None
) -> NDArray[np.float32]:
    """Return the loss weights of rows in open plan `number`, or in the newest that issues each.

    Of older plans those come first in which a row is open still: a state holds no others.

    Raises
    ------
    ValueError
        When the plan does not issue one of them.
    """
    weights = ones = np.ones(len(rows), np.float32)
    left = np.ones(len(rows), np.bool_)
    allowed = plan.allowed()
    issued = left if allowed is None else host(allowed)[rows]
    newest_first = [(plan.random.epoch, issued, plan.weights_of(rows.astype(np.int64)))]
    for still_open in (True, False):
        for each in reversed(ledger.older):
            issued = left if each.issued is None else each.issued[rows]
            here = np.isin(rows, each.rows) if still_open else issued
            of_rows = ones if each.weights is None else each.weights[rows]
            newest_first.append((each.number, here, of_rows))
    for epoch, here, of_rows in newest_first:
        if number in (None, epoch):
            weights, left = np.where(left & here, of_rows, weights), left & ~here
    if left.any():
        where = "an epoch that is open" if number is None else f"epoch {number}"
        one = plan.ids(rows[left][:1].astype(np.int64))[0]
        raise ValueError(f"id {one} was not issued in {where}")
    return weights
