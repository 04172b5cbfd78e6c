"""The order of an epoch as others hand it out: id by id, whole, on every rank."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.checks import choice, integer
from dynsample.run import handed
from dynsample.run.handed import external, handed_out, ids_at, whole
from dynsample.run.life import find_ranks, planned
from dynsample.run.open_plans import joined_rows
from dynsample.run.passes import check_epoch, check_turn

if TYPE_CHECKING:
    from dynsample.run.epoch import Epoch
    from dynsample.run.run import Run

_CHUNK = 4096  # ids that are worked out at a time
SKIPS = ("sampler", "framework")


def set_skips(run: Run, skips: str) -> str:
    """Fix who leaves out what was used before a load: the order, or whoever hands it out."""
    skips = choice(skips, "skips", SKIPS)
    if skips == "framework" and run.config.late:
        raise ValueError(
            'skips must be "sampler" with late, got "framework", as Grain has it: after a '
            "load the order begins with what is open of older plans, which would be skipped"
        )
    if run.skips not in (None, skips):
        raise ValueError(
            f"skips must be {run.skips!r}, as it is of another IndexSampler of this sampler, got "
            f"{skips!r}: where both skip, samples are lost"
        )
    run.skips = skips
    return skips


def check_external(run: Run) -> None:
    """Raise a ValueError when the sampler itself hands the plan out."""
    if not run.config.external:
        raise ValueError(
            'the sampler must be made with issue="external", as in ds.Sampler(num_samples, policy, '
            'issue="external"): this one deals batches of its own'
        )


def order_of(run: Run, epoch: Epoch, *, hidden: bool) -> NDArray[np.int64] | range:
    """Return the places of a pass that the next iterator gives, ascending."""
    if run.skips == "framework":
        return whole(epoch, hidden=hidden)
    return handed.order_of(epoch, hidden=hidden)


class _Turn:
    """An iterator's turn at a pass: it has the pass until the next one begins."""

    def __init__(self, run: Run, *, hidden: bool, start: int) -> None:
        find_ranks(run)
        self.run, self.epoch = run, planned(run)
        self.cursor = self.epoch.passes[hidden]
        run.observations.ring.drain(everything=True)
        order, count = order_of(run, self.epoch, hidden=hidden), len(self.epoch.ledger.log)
        _check_unused(self.epoch, hidden, len(order), count)
        self.place = min(start, len(order))
        begun = {
            "begun": True,
            "observed": count,
            "earlier": self.cursor.handed_places(),
            "left": order,
            "used": self.epoch.used,
            "drawn": self.place,
            "owner": weakref.ref(self),
        }
        vars(self.cursor).update(begun)  # at once: an interrupt finds all of it or nothing

    def ids(self) -> list[int]:
        """Return some ids from the present place on."""
        cursor = self.cursor
        chunk = np.asarray(cursor.left[self.place : self.place + _CHUNK], np.int64)
        return ids_at(self.epoch, chunk, hidden=cursor.hidden)


def _check_unused(epoch: Epoch, hidden: bool, length: int, count: int) -> None:
    """Raise when an order would be handed out again although it was used."""
    cursor, number = epoch.passes[hidden], epoch.number
    since = count - cursor.observed
    again = cursor.begun and cursor.used is epoch.used  # without a set_epoch in between
    used_up = again and (since or cursor.drawn == len(cursor.left))
    if length and (used_up or epoch.folded):
        raise RuntimeError(
            f"{'the hidden samples' if hidden else 'the order'} of epoch {number} can be iterated "
            f"once: {cursor.drawn} of {len(cursor.left)} were handed out, and {since} observations "
            f"came since. set_epoch({number}) goes on with what was not observed, "
            f"set_epoch({number + 1}) with the next epoch"
        )


def iterate(run: Run, *, hidden: bool, start: int) -> Generator[int, None, None]:
    """Return a generator of the ids of a pass, from a place in its order on."""
    return _ids(_Turn(run, hidden=hidden, start=start))


def _ids(turn: _Turn) -> Generator[int, None, None]:
    run, cursor, number = turn.run, turn.cursor, turn.epoch.number
    while ids := turn.ids():
        for one in ids:
            check_turn(None if run.epoch is None else run.epoch.passes, cursor, number, turn)
            turn.place += 1
            cursor.drawn = turn.place
            yield one


class Whole:
    """A pass that is handed out at once, to whoever asks for it by place in its order.

    Copies are the same one; what is pickled comes back as None.

    Attributes
    ----------
    ids : int64[M]
    number : int
        Its epoch.
    """

    def __init__(self, run: Run, *, hidden: bool) -> None:
        find_ranks(run)
        self._run, self._epoch = run, planned(run)
        epoch, cursor = self._epoch, self._epoch.passes[hidden]
        self.number, self.ids = epoch.number, epoch.plan.slice(0, cursor.stop, hidden=hidden)
        run.observations.ring.drain(everything=True)
        if len(self.ids) and epoch.folded:
            raise RuntimeError(
                f"epoch {self.number} is over, and what was observed of it is in the table: "
                f"set_epoch({self.number + 1}) goes on"
            )
        begun = {"left": whole(epoch, hidden=hidden), "drawn": cursor.stop}
        if not cursor.begun or cursor.used is not epoch.used:
            count = len(epoch.ledger.log)
            begun |= {"begun": True, "observed": count, "used": epoch.used}
        vars(cursor).update(begun)

    def check(self) -> None:
        """Raise a RuntimeError when the run left the epoch."""
        now = self._run.epoch
        check_epoch(None if now is None else now.passes, self._epoch.passes[0], self.number)

    def __deepcopy__(self, memo: object) -> Whole:
        return self  # of the same run

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # a run stays in its process


def length(run: Run, *, hidden: bool) -> int:
    """Count the ids that the next iterator gives."""
    return len(order_of(run, planned(run), hidden=hidden))


def epochs(run: Run, *, hidden: bool) -> NDArray[np.int64]:
    """Return the epochs of the plans that the ids of the next iterator are of."""
    epoch = planned(run)
    return handed.epochs_at(epoch, np.asarray(order_of(run, epoch, hidden=hidden), np.int64))


def outstanding(run: Run) -> NDArray[np.int64]:
    """Return the ids that were handed out on any rank and observed on none. Collective."""
    check_external(run)
    epoch, group = planned(run), run.group
    ledger, plan = external(epoch), epoch.plan
    what = f"what is outstanding of epoch {epoch.number}"
    run.observations.ring.drain(everything=True)
    used = ledger.used(plan, group, what)
    still = handed_out(epoch, used, group, what)
    still[: ledger.first] = True
    rows = joined_rows(ledger.plans(plan))[still & ~used]
    return plan.ids(rows.astype(np.int64))


def progress(run: Run, epoch: Epoch) -> float:
    """Return the epochs that are done, as a fraction; see `Sampler.progress`."""
    return epoch.number + (_used(run, epoch) if run.config.external else _received(epoch))


def _received(epoch: Epoch) -> float:
    kept = epoch.passes[0]
    return kept.received / kept.stop if kept.stop else 1.0


def _used(run: Run, epoch: Epoch) -> float:
    """Return how much of the kept pass was used, in [0, 1], by what was observed on this rank."""
    kept, count = epoch.passes[0], epoch.positions[0]
    if kept.begun and kept.used is epoch.used:
        count += (len(epoch.ledger.log) - kept.observed) * run.group.size
    return min(1.0, count / kept.stop) if kept.stop else 1.0


def consumed_positions(
    run: Run, epoch: Epoch, consumed: int | None, what: str
) -> NDArray[np.int64]:
    """Return the places that the loops of all ranks used without observing them. Collective."""
    columns, ledger = run.observations.log.signals, epoch.ledger
    drawn = sum(each.drawn for each in epoch.passes)
    here = np.array([drawn, len(ledger.log) - len(ledger.carried)])
    anywhere, observed = run.group.sum(here, what).tolist()
    passes = [order_of(run, epoch, hidden=hidden) for hidden in (False, True)]
    order = np.concatenate([np.asarray(each, np.int64) for each in passes])

    def checked() -> int:
        if consumed is None:
            if run.config.late or columns or observed or not anywhere:
                return 0
            raise ValueError(
                f"samples of epoch {epoch.number} were handed out and none was observed, as "
                f"{type(run.config.policy).__name__} has no columns: pass consumed=, the number of "
                "samples that the loops of all ranks used since set_epoch or load, or call "
                "sampler.observe(index) in every step"
            )
        if columns or run.config.late:
            raise ValueError(
                'consumed must be left out with issue="external" and a policy that observes, or '
                "with late: what was observed does not come again, and all else does"
            )
        return integer(consumed, "consumed", 0, len(order))

    return order[: run.group.agree(checked, what)]
