"""What was observed of a plan that others hand out: every rank may have any of its positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.disk.state_files import Tensors
from dynsample.plan.plan import WholePlan
from dynsample.run.ledger import PADDED, UNKNOWN, Ledger, Rows, Settled, Tickets
from dynsample.table.log import ObservationLog

if TYPE_CHECKING:
    from dynsample.groups import Group
    from dynsample.plan.plan import Plan
    from dynsample.table.places import Log

Mask = NDArray[np.bool_]


class ExternalLedger(Ledger):
    """The ledger of a plan that is issued whole, on every rank.

    The observations of all ranks are settled together, by their numbers on their ranks, and then by
    rank: each belongs to the first free position of its row, and is surplus when there is none.
    """

    def __init__(self, log: Log, folded: int | None = None) -> None:
        super().__init__(log, folded)
        # What is in the log already came late for the epoch before.
        self._first_issue = len(log) if folded is None else 0

    def settle(self, plan: Plan, group: Group, what: str) -> Settled:
        """Settle which positions the observations of all ranks belong to. Collective."""
        if group.size == 1 and self._in_order(plan):
            return Settled(None, 0)
        tickets, _ = self._settled(plan, group, what)
        counts = [np.count_nonzero(tickets == kind) for kind in (UNKNOWN, PADDED)]
        not_issued, surplus = group.sum(np.array(counts), what).tolist()
        return Settled(tickets, not_issued, surplus)

    def _in_order(self, plan: Plan) -> bool:
        """Whether all observations of one process count, in call order."""
        self.log.close()
        if self._num_before():
            return False
        return _core.all_issued(issued_rows(plan), self.log.native, 0, not plan.repeated)

    def _settled(self, plan: Plan, group: Group, what: str) -> tuple[Tickets, Mask]:
        """Ticket of every observation of this rank, and which positions any rank has observed."""
        self.log.close()
        before, carried = self._num_before(), self.carried
        rows = issued_rows(plan)
        observed = np.zeros(len(rows), np.bool_)
        theirs = np.concatenate(group.all_gather(carried, what))
        observed[theirs[theirs >= 0]] = True
        parts = group.all_gather(self.log.index()[before:], what)
        numbers = np.concatenate([np.arange(len(part)) for part in parts])
        in_turn = np.argsort(numbers, kind="stable")
        log = ObservationLog(self.log.num_samples, [])
        log.restore(np.concatenate(parts)[in_turn], {})
        free = np.flatnonzero(~observed)
        places, _ = _core.match(rows[free], log.native, 0)
        taken = np.append(free, PADDED)[places]
        observed[taken[taken >= 0]] = True
        tickets = np.empty_like(taken)
        tickets[in_turn] = taken
        begin = sum(len(part) for part in parts[: group.rank])
        own = tickets[begin : begin + len(parts[group.rank])]
        late = np.full(before - len(carried), UNKNOWN)
        return np.concatenate([carried, late, own]), observed

    def used(self, plan: Plan, group: Group, what: str) -> Mask:
        """Return the positions that were observed, or consumed without that, by any rank.

        Collective.

        Returns
        -------
        bool[P + H], of the kept and then of the hidden pass, the same on all ranks
        """
        _, used = self._settled(plan, group, what)
        used[np.concatenate(group.all_gather(self.outstanding[1], what))] = True
        return used

    def state_of(
        self, plan: Plan, consumed: Tickets, group: Group, what: str
    ) -> tuple[Tensors, Mask]:
        """Return the log with its tickets, and what was consumed and not observed; and all used.

        Collective.

        Parameters
        ----------
        plan : Plan
        consumed : int64[C]
            Positions that the loops of all ranks used, whether they observed them or not.
        group : Group
        what : str
        """
        tickets, used = self._settled(plan, group, what)
        before = np.concatenate(group.all_gather(self.outstanding[1], what))
        consumed = np.setdiff1d(consumed, before)
        mine = np.array_split(consumed, group.size)[group.rank]
        positions = np.concatenate([self.outstanding[1], mine])
        positions = positions[~used[positions]]
        if self.folded:  # the epoch is over, and what was observed of it is no longer known
            positions = positions[:0]
        used[np.concatenate([before, consumed])] = True
        return self._arrays(tickets, issued_rows(plan)[positions], positions), used


def issued_rows(plan: Plan) -> Rows:
    """Return the rows of both passes by position, uint32[P + H]."""
    assert isinstance(plan, WholePlan)
    kept = plan.rows(0, plan.num_positions)
    hidden = plan.rows(0, plan.num_hidden if plan.refresh else 0, hidden=True)
    return np.concatenate([kept, hidden]).astype(np.uint32)
