"""The life of an epoch: what `set_epoch` and a new iterator mean, in whatever state a run is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dynsample.disk.checkpoint import StateError
from dynsample.run import boundary
from dynsample.run.epoch import Epoch
from dynsample.run.passes import Pass
from dynsample.run.planning import start
from dynsample.run.ranks import check_ranks

if TYPE_CHECKING:
    from dynsample.sampler import Sampler


def set_epoch(sampler: Sampler, number: int, *, restart: bool, named: bool) -> None:
    """Go to an epoch; see the page "The life of an epoch" for what that means when."""
    current = sampler._epoch
    check_ranks(sampler, number, restart)
    sampler._ring.drain(everything=True)
    folded = boundary.Folded()
    if current is not None and not restart:
        if number == current.number:
            _again(sampler, current)
            return
        if number < current.number:
            _check_backwards(sampler, current, number)
        folded = boundary.close_epoch(sampler, current)
    boundary.begin_epoch(sampler, number, folded, named=named, restart=restart)


def _again(sampler: Sampler, epoch: Epoch) -> None:
    """Name the current epoch: it goes on at its cursor, or starts when nobody trained in it."""
    kept, number = epoch.passes[0], epoch.number
    put, named = epoch.put, epoch.named
    epoch.put, epoch.named = None, True
    if put is not None:
        if put != epoch.positions:
            sampler._warn_once(
                "moved",
                f"set_epoch({number}) after a load that put epoch {number} at position {put[0]}, "
                f"and it is at {kept.received}: batches were drawn in between, which the epoch now "
                "lacks. Load in the hook that your trainer calls when an epoch starts",
            )
        return
    if epoch.positions == (0, 0):
        return
    if not named and not _observed_anywhere(sampler, epoch):
        start(sampler, epoch.plan, named=True, stats=epoch.stats)
        sampler._warn_once(
            "looked",
            f"epoch {number} had been iterated to position {kept.received} of {kept.stop} before "
            f"set_epoch({number}), and nothing of it was observed: it starts from the beginning. "
            "To look at batches use peek(), to go over all samples use all()",
        )
    elif kept.received < kept.stop:
        sampler._warn_once(
            "goes on",
            f"set_epoch({number}) of the current epoch, which is at position {kept.received} of "
            f"{kept.stop}: it goes on there; set_epoch({number}, restart=True) begins it anew",
        )


def _observed_anywhere(sampler: Sampler, epoch: Epoch) -> bool:
    what = f"the start of epoch {epoch.number}"
    return bool(sampler.group.sum(np.array([int(epoch.observed)]), what)[0])


def _check_backwards(sampler: Sampler, epoch: Epoch, number: int) -> None:
    """Refuse a set_epoch that would throw away what was loaded; warn of another one backwards."""
    if epoch.put is not None and epoch.put == epoch.positions:
        raise StateError(
            f"epoch {epoch.number} was loaded, and set_epoch({number}) goes back before it: begin "
            f"to count at sampler.epoch, which is {epoch.number}, or start again with "
            f"set_epoch({number}, restart=True)"
        )
    sampler._warn_once(
        "backwards",
        f"set_epoch({number}) after epoch {epoch.number}: epochs are planned from all that was "
        "observed so far, also of later ones, and a length that was asked before is that of epoch "
        f"{epoch.number}",
    )


def begin_pass(sampler: Sampler, hidden: bool) -> None:
    """See that an iterator has something to go on with: plan the next epoch, or refuse."""
    epoch = sampler._planned()
    cursor = epoch.passes[hidden]
    if not cursor.used_up:
        _warn_of_a_look(sampler, epoch, cursor)
        return
    if not hidden and not epoch.named:
        unobserved = bool(sampler.policy.columns) and not epoch.observed and cursor.stop > 0
        if unobserved and epoch.put is None:
            boundary.warn_unobserved(sampler, epoch.plan)
        told = sampler._told
        sampler._set_epoch(epoch.number + 1, named=False)
        _warn_of_length(sampler, told)
        return
    if cursor.stop and not cursor.put_at_end:
        which = "the hidden samples of epoch" if hidden else "epoch"
        verb = "are" if hidden else "is"
        raise RuntimeError(
            f"{which} {epoch.number} {verb} used up: {cursor.received} of {cursor.stop} positions "
            f"were handed out; set_epoch({epoch.number + 1}), or set_epoch({epoch.number}, "
            "restart=True). To go over all samples use all()"
        )


def _warn_of_length(sampler: Sampler, told: int | None) -> None:
    """Warn when the epoch that begins is not as long as the user was told."""
    batches = sampler._num_batches()
    if told is not None and told != batches:
        sampler._warn_once(
            "length",
            f"epoch {sampler.epoch} has {batches} batches, and len() said {told} before it was "
            "planned: call set_epoch before len",
        )


def _warn_of_a_look(sampler: Sampler, epoch: Epoch, cursor: Pass) -> None:
    """Warn when a pass goes on behind batches that were looked at and not observed."""
    looked = cursor.begun and cursor.received > 0 and bool(sampler.policy.columns)
    if looked and not epoch.folded and len(epoch.ledger.log) == cursor.observed:
        what = "the hidden pass" if cursor.hidden else "the pass"
        sampler._warn_once(
            "look",
            f"{what} over epoch {epoch.number} goes on at position {cursor.received} of "
            f"{cursor.stop}, and what came before was not observed: to look at batches use peek()",
        )
