"""What a rank was given in an epoch, what it observed, and which position an observation is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels.convert import host
from dynsample.table.log import ObservationLog, Portion

if TYPE_CHECKING:
    from dynsample.groups import Group
    from dynsample.plan.plan import Plan
    from dynsample.table.places import Log

PADDED, UNKNOWN = -1, -2  # instead of a position
Rows = NDArray[np.uint32]
Tickets = NDArray[np.int64]

_NO_ROWS = np.empty(0, np.uint32)
_NO_TICKETS = np.empty(0, np.int64)


class Settled(NamedTuple):
    """Which positions the observations of this rank belong to, and what belongs to none.

    Attributes
    ----------
    portions : list of Portion
        What is folded alike, one after the other; on all ranks as many. Without tickets all
        observations count, in call order.
    not_issued, surplus : int
        Observations of all ranks of nothing that was issued, which is an error; and of what was
        observed before, which is none.
    late, ignored : int
        Observations of all ranks of older plans; and those among them that ordered columns do not
        take.
    """

    portions: list[Portion]
    not_issued: int = 0
    surplus: int = 0
    late: int = 0
    ignored: int = 0


class Issued:
    """Rows that one pass handed to this rank, in order, and their positions."""

    def __init__(self) -> None:
        self._rows = np.empty(0, np.uint32)
        self._size = 0
        self._blocks: list[tuple[int, int, int]] = []  # step, first position, place in `rows`
        self.end = 0  # position up to which steps were handed out

    def __len__(self) -> int:
        return self._size

    def append(self, step: int, stop: int, first: int, rows: NDArray[np.int64]) -> None:
        """Add the rows at the positions first, ... of the step [step, stop)."""
        end = self._size + len(rows)
        if end > len(self._rows):
            grown = np.empty(max(end, 2 * len(self._rows), 4096), np.uint32)
            grown[: self._size] = self._rows[: self._size]
            self._rows = grown
        self._rows[self._size : end] = rows
        self._blocks.append((step, first, self._size))
        self._size, self.end = end, stop

    def rewind(self, position: int) -> None:
        """Take back the steps from `position` on: they will be handed out again."""
        while self._blocks and self._blocks[-1][0] >= position:
            self._size = self._blocks.pop()[2]
        self.end = min(self.end, position)

    @property
    def padded(self) -> bool:
        """Whether the last row is padded."""
        return bool(self._blocks) and self._blocks[-1][1] == PADDED

    @property
    def leading(self) -> bool:
        """Whether these are the rows of the first positions of the pass, without a gap."""
        if not self._blocks:
            return True
        (_, begin, _), (_, first, place) = self._blocks[0], self._blocks[-1]
        return begin == 0 and first == place

    @property
    def rows(self) -> Rows:
        """All rows, in order."""
        return self._rows[: self._size]

    def positions(self) -> Tickets:
        """Their positions in the pass, `PADDED` for a padded row."""
        if not self._blocks:
            return _NO_TICKETS
        _, first, places = np.array(self._blocks, np.int64).T
        sizes = np.diff(places, append=self._size)
        positions: Tickets = np.repeat(first - places, sizes) + np.arange(self._size)
        positions[np.repeat(first == PADDED, sizes)] = PADDED
        return positions


class Ledger:
    """The log of an epoch and what was issued in it. A new epoch is a new ledger of the same log.

    A ticket is a position in the epoch's order; those of the pass over hidden samples come after
    them.

    Parameters
    ----------
    log : ObservationLog
    folded : int, optional
        Observations that the log has given to the table before the epoch; by default, those now.

    Attributes
    ----------
    log : ObservationLog
    issued : (Issued, Issued)
        What the kept and the hidden pass have issued since the epoch began or was loaded.
    outstanding : (uint32[M], int64[M])
        Rows, and their tickets, that were received and not observed before the state was saved
        which was loaded.
    closed : bool
        Whether a fold of all ranks was done, to which this one may have had nothing to give.
    """

    def __init__(self, log: Log, folded: int | None = None) -> None:
        self.log = log
        self.issued = (Issued(), Issued())
        self.outstanding = (_NO_ROWS, _NO_TICKETS)
        self.closed = False
        self._carried = _NO_TICKETS
        self._num_folded = log.num_folded if folded is None else folded
        # Observations before it; None: nothing was issued yet. What is in the log already came late
        # for the epoch before.
        self._first_issue: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "log": None}  # the run brings it back

    @property
    def folded(self) -> bool:
        """Whether observations of this epoch, of any rank, went from the log to the table."""
        return self.closed or self.log.num_folded != self._num_folded

    @property
    def carried(self) -> Tickets:
        """Tickets of the first observations of the log, which were loaded, int64[C]."""
        return _NO_TICKETS if self.folded else self._carried

    def issue(self, *, hidden: bool, step: int, stop: int, first: int, rows: NDArray[Any]) -> None:
        """Note the rows at the positions first, ... of the step [step, stop) as handed out."""
        if self._first_issue is None:
            self._first_issue = len(self.log)
        self.issued[hidden].append(step, stop, first, rows)

    def restore(
        self,
        rows: Rows,
        tickets: Tickets,
        signals: Mapping[str, NDArray[np.float32]],
        outstanding: tuple[Rows, Tickets],
    ) -> None:
        """Begin with what `state` gave, of this or of other ranks."""
        self.log.restore(rows, signals)
        self._num_folded = self.log.num_folded
        self._carried, self.outstanding = tickets, outstanding

    @property
    def fresh(self) -> bool:
        """Whether all observations are of what was issued here since the epoch began."""
        return not len(self.carried) and not self._num_before()

    def _num_before(self) -> int:
        """Observations that came before anything was issued here: none of them can be of it."""
        if self.folded:
            return 0
        closed = self.log.num_closed
        before = closed if self._first_issue is None else min(self._first_issue, closed)
        return max(before, len(self.carried))

    def rows(self) -> Rows:
        """Rows that both passes handed out."""
        kept, hidden = self.issued
        return np.concatenate([kept.rows, hidden.rows]) if len(hidden) else kept.rows

    def positions(self, plan: Plan) -> Tickets:
        """Return the tickets of `rows`, `PADDED` for a padded one."""
        kept, hidden = (issued.positions() for issued in self.issued)
        return np.concatenate([kept, np.where(hidden < 0, hidden, hidden + plan.num_positions)])

    def tickets(self, plan: Plan) -> Tickets:
        """Ticket of every observation until now, `PADDED` or `UNKNOWN` for some."""
        self.log.close()
        before = self._num_before()
        places, _ = _core.match(self.rows(), self.log.native, before)
        late = np.full(before - len(self.carried), UNKNOWN)
        return np.concatenate(
            [self.carried, late, np.append(self.positions(plan), UNKNOWN)[places]]
        )

    def by_ticket(self, plan: Plan, group: Group) -> bool:
        """Whether a row may have observations whose call order is not that of their tickets."""
        return plan.repeated and (group.size > 1 or len(self.carried) > 0)

    def portion(self, plan: Plan, group: Group, tickets: Tickets | None) -> Portion:
        """Return all observations of a plan."""
        return Portion(plan.random.epoch, tickets, by_ticket=self.by_ticket(plan, group))

    def open_numbers(self, plan: Plan) -> list[int]:
        """Return the epochs that observations may name, oldest first."""
        return [plan.random.epoch]

    def allow(self, plan: Plan) -> None:
        """Have the log, on the host, refuse what the plan does not issue."""
        allowed = plan.allowed()
        self.log.set_allowed(None if allowed is None else host(allowed))

    def _plain(self, plan: Plan, group: Group) -> bool:
        """Whether all observations count, and in call order."""
        if self.by_ticket(plan, group) or any(issued.padded for issued in self.issued):
            return False
        self.log.close()
        before, unique = self._num_before(), not plan.repeated
        if before != len(self.carried) or (self.carried < 0).any():
            return False
        return _core.all_issued(self.rows(), self.log.native, before, unique)

    def settle(self, plan: Plan, group: Group, what: str) -> Settled:
        """Settle which positions the observations of all ranks belong to.

        Collective. Any rank may observe what was received, by whichever rank, before a state was
        saved.
        """
        tickets = None if self._plain(plan, group) else self.tickets(plan)
        unknown = 0 if tickets is None else int(np.count_nonzero(tickets == UNKNOWN))
        counts = np.array([unknown, len(self.outstanding[0])])
        unknown_everywhere, outstanding = group.sum(counts, what).tolist()
        if unknown_everywhere and outstanding:
            if tickets is None:
                tickets = self.tickets(plan)
            tickets, unknown_everywhere, _ = self.settle_late(tickets, group, what)
        return Settled([self.portion(plan, group, tickets)], unknown_everywhere)

    def settle_late(
        self, tickets: Tickets, group: Group, what: str
    ) -> tuple[Tickets, int, Tickets]:
        """Give tickets to what is late, and say which of the outstanding ones all ranks took."""
        observed = self.log.index()
        places = np.flatnonzero(tickets == UNKNOWN)
        late = group.all_gather(observed[places], what)
        rows = np.concatenate(group.all_gather(self.outstanding[0], what))
        unused = np.concatenate(group.all_gather(self.outstanding[1], what))
        order = np.argsort(unused, kind="stable")
        log = ObservationLog(self.log.num_samples, [])
        log.restore(np.concatenate(late), {})
        found, left = _core.match(rows[order], log.native, 0)
        begin = sum(len(part) for part in late[: group.rank])
        taken = np.append(unused[order], UNKNOWN)[found]
        tickets[places] = taken[begin : begin + len(places)]
        # What is late was issued before all else: the earlier observation of a row is of it.
        fresh = np.arange(len(tickets)) >= len(self.carried)
        mixed = np.flatnonzero(fresh & (tickets >= 0) & np.isin(observed, observed[places]))
        in_order = mixed[np.argsort(observed[mixed], kind="stable")]
        tickets[in_order] = tickets[mixed[np.lexsort((tickets[mixed], observed[mixed]))]]
        return tickets, left, taken

    def state(
        self, plan: Plan, received: tuple[int, int], group: Group, what: str
    ) -> dict[str, NDArray[Any]]:
        """Return the log with its tickets, and what is still to be observed of `received`.

        Collective: what is late is settled now, as more may be late after the next load.
        """
        tickets, taken = self.tickets(plan), _NO_TICKETS
        counts = np.array([np.count_nonzero(tickets == UNKNOWN), len(self.outstanding[0])])
        if group.sum(counts, what).all():
            tickets, _, taken = self.settle_late(tickets, group, what)
        rows = np.concatenate([self.outstanding[0], self.rows()])
        issued = np.concatenate([self.outstanding[1], self.positions(plan)])
        kept, hidden = received
        stop = np.where(issued < plan.num_positions, kept, plan.num_positions + hidden)
        still = (issued >= 0) & (issued < stop)
        still &= ~np.isin(issued, tickets) & ~np.isin(issued, taken)
        if self.folded:  # the epoch is over, and what was observed of it is no longer known
            still[:] = False
        return self._arrays(tickets, rows[still], issued[still])

    def _arrays(
        self, tickets: Tickets, rows: Rows, outstanding: Tickets
    ) -> dict[str, NDArray[Any]]:
        """Return what is saved: the log with its tickets, and what is still to be observed."""
        return {
            "index": self.log.index(),
            "ticket": tickets,
            **{f"signal/{name}": self.log.signal(name) for name in self.log.signals},
            "outstanding/index": rows,
            "outstanding/ticket": outstanding,
        }
