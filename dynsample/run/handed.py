"""What of the open plans was handed out by others, and what an order of theirs gives next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample.run.external_ledger import ExternalLedger
from dynsample.run.open_plans import Left, Mask, joined, joined_rows

if TYPE_CHECKING:
    from dynsample.groups import Group
    from dynsample.run.epoch import Epoch


def external(epoch: Epoch) -> ExternalLedger:
    """Return the ledger of an epoch that others hand out."""
    ledger = epoch.ledger
    assert isinstance(ledger, ExternalLedger)
    return ledger


def whole(epoch: Epoch, *, hidden: bool) -> range:
    """Return the places of a pass over the current plan."""
    kept, stop = epoch.passes[0].stop, epoch.passes[hidden].stop
    first = external(epoch).first + (kept if hidden else 0)
    return range(first, first + stop)


def order_of(epoch: Epoch, *, hidden: bool) -> NDArray[np.int64] | range:
    """Return the places of a pass that come next, ascending: those of older plans come first."""
    own = whole(epoch, hidden=hidden)
    if epoch.used is None or epoch.over:
        return own
    older = external(epoch).older
    which = joined([each.hidden == hidden for each in older])
    due = np.flatnonzero(~epoch.used[: len(which)] & which)
    left = np.flatnonzero(~epoch.used[own.start : own.stop])
    return np.concatenate([due, own.start + left])


def ids_at(epoch: Epoch, places: NDArray[np.int64], *, hidden: bool) -> list[int]:
    """Return the ids at some places of a pass, which ascend."""
    ledger, own = external(epoch), whole(epoch, hidden=hidden)
    count = int(np.searchsorted(places, ledger.first))
    ids: list[int] = []
    if count:
        rows = joined_rows(ledger.older)[places[:count]]
        ids += epoch.plan.ids(rows.astype(np.int64)).tolist()
    if count < len(places):
        at = places[count:] - own.start
        span = epoch.plan.slice(int(at[0]), int(at[-1]) + 1, hidden=hidden)
        ids += span[at - at[0]].tolist()
    return ids


def epochs_at(epoch: Epoch, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the epochs of the plans that places are of."""
    ledger = external(epoch)
    ends = np.cumsum([len(each) for each in ledger.older])
    numbers = [*(each.number for each in ledger.older), epoch.number]
    return np.array(numbers, np.int64)[np.searchsorted(ends, places, side="right")]


def drawn(epoch: Epoch) -> tuple[int, int]:
    """Count the positions of the current plan that the last iterators of both passes gave."""
    first = external(epoch).first
    kept, hidden = (
        each.drawn - int(np.searchsorted(each.left[: each.drawn], first)) if first else each.drawn
        for each in epoch.passes
    )
    return kept, hidden


def handed_out(epoch: Epoch, observed: Mask, group: Group, what: str) -> Mask:
    """Return the places that any rank was handed since the epoch began or was loaded.

    Collective. A pass of which no rank made an iterator was handed out as a whole when anything of
    it was observed, and the kept one also when `Sampler.plan` was read: the loop goes by that.

    Parameters
    ----------
    epoch : Epoch
    observed : bool[T]
        Places that were observed.
    group : Group
    what : str

    Returns
    -------
    bool[T], the same on all ranks
    """
    handed = np.zeros(len(observed), np.bool_)
    for cursor in epoch.passes:
        handed[cursor.handed_places()] = True
    bits = np.bitwise_or.reduce(group.all_gather(np.packbits(handed), what), axis=0)
    handed = np.unpackbits(bits, count=len(handed)).view(np.bool_)
    flags = [*(each.begun for each in epoch.passes), epoch.plan_read]
    begun, refreshed, plan_read = group.sum(np.array(flags, np.int64), what).tolist()
    for hidden, iterated, read in ((False, begun, plan_read), (True, refreshed, 0)):
        own = whole(epoch, hidden=hidden)
        if not iterated and (read or observed[own.start : own.stop].any()):
            handed[own.start : own.stop] = True
    return handed


def leave(epoch: Epoch, number: int, group: Group, *, restart: bool) -> Left:
    """Return what stays open of an epoch and of older ones when epoch `number` begins. Collective.

    With `restart` nothing of the epoch itself does.
    """
    ledger, what = external(epoch), f"what is outstanding of epoch {epoch.number}"
    if not ledger.late:
        return Left()
    observed = joined([each.observed for each in ledger.plans(epoch.plan)])
    handed = handed_out(epoch, observed, group, what)
    if restart:
        handed[ledger.first :] = False
    return ledger.leave(epoch.plan, handed, epoch.used, number)
