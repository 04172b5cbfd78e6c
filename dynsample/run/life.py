"""The life of an epoch: what `set_epoch` and a new iterator mean, in whatever state a run is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from dynsample import groups
from dynsample.disk.checkpoint import StateError
from dynsample.run import boundary
from dynsample.run.epoch import Epoch
from dynsample.run.external_ledger import ExternalLedger
from dynsample.run.passes import Pass
from dynsample.run.planning import join, start
from dynsample.run.ranks import check_ranks
from dynsample.run.turn import alone

if TYPE_CHECKING:
    from dynsample.run.run import Run


def find_ranks(run: Run) -> None:
    """Look again for ranks, when one process was found before the others were there."""
    if run.auto and run.group.size == 1:
        found = groups.found_again(run.group)
        if found is not run.group:
            join(run, found)


def go_to(run: Run, number: int, *, named: bool, restart: bool = False) -> None:
    """Go to an epoch, as a call that nothing else begins in the middle of."""
    begin = partial(set_epoch, run, number, restart=restart, named=named)
    alone(run, f"set_epoch({number})", begin)


def planned(run: Run) -> Epoch:
    """Return the epoch; epoch 0 is planned when there is none yet."""
    if run.epoch is None:
        find_ranks(run)
        go_to(run, 0, named=False)
    return run.current


def num_batches(run: Run) -> int:
    """Count the batches of the epoch, on every rank the same."""
    return -(-planned(run).passes[0].stop // (run.config.batch_size * run.group.size))


def set_epoch(run: Run, number: int, *, restart: bool, named: bool) -> None:
    """Go to an epoch; see the page "The life of an epoch" for what that means when."""
    current = run.epoch
    check_ranks(run, number, restart)
    run.observations.ring.drain(everything=True)
    folded = boundary.Folded()
    if current is not None and not restart:
        if number == current.number:
            _again(run, current)
            return
        if number < current.number:
            _check_backwards(run, current, number)
        _warn_of_loaded(run, current, number)
        folded = boundary.close_epoch(run, current)
    boundary.begin_epoch(run, number, folded, named=named, restart=restart)
    run.table.changed_by_hand = False


def _again(run: Run, epoch: Epoch) -> None:
    """Name the current epoch: it goes on at its cursor, or starts when nobody trained in it."""
    kept, number = epoch.passes[0], epoch.number
    put, named = epoch.put, epoch.named
    epoch.put, epoch.named = None, True
    if isinstance(epoch.ledger, ExternalLedger):
        epoch.used = epoch.ledger.used(epoch.plan, run.group, f"what is left of epoch {number}")
        return
    if put is not None:
        if put != epoch.positions:
            run.warn_once(
                "moved",
                f"set_epoch({number}) after a load that put epoch {number} at position {put[0]}, "
                f"and it is at {kept.received}: batches were drawn in between, which the epoch now "
                "lacks. Load in the hook that your trainer calls when an epoch starts",
            )
        return
    if epoch.positions == (0, 0):
        return
    if not named and not _observed_anywhere(run, epoch):
        start(run, epoch.plan, named=True, stats=epoch.stats)
        run.warn_once(
            "looked",
            f"epoch {number} had been iterated to position {kept.received} of {kept.stop} before "
            f"set_epoch({number}), and nothing of it was observed: it starts from the beginning. "
            "To look at batches use peek(), to go over all samples use all()",
        )
    elif kept.received < kept.stop:
        run.warn_once(
            "goes on",
            f"set_epoch({number}) of the current epoch, which is at position {kept.received} of "
            f"{kept.stop}: it goes on there; set_epoch({number}, restart=True) begins it anew",
        )


def _observed_anywhere(run: Run, epoch: Epoch) -> bool:
    what = f"the start of epoch {epoch.number}"
    return bool(run.group.sum(np.array([int(epoch.observed)]), what)[0])


def _check_backwards(run: Run, epoch: Epoch, number: int) -> None:
    """Refuse a set_epoch that would throw away what was loaded; warn of another one backwards."""
    if epoch.put is not None and epoch.put == epoch.positions:
        raise StateError(
            f"epoch {epoch.number} was loaded, and set_epoch({number}) goes back before it: begin "
            f"to count at sampler.epoch, which is {epoch.number}, or start again with "
            f"set_epoch({number}, restart=True)"
        )
    run.warn_once(
        "backwards",
        f"set_epoch({number}) after epoch {epoch.number}: epochs are planned from all that was "
        "observed so far, also of later ones, and a length that was asked before is that of epoch "
        f"{epoch.number}",
    )


def _warn_of_loaded(run: Run, epoch: Epoch, number: int) -> None:
    """Warn when a load brought back positions that nobody was handed before the epoch is left.

    Which of them were in flight when the state was saved is not known: all that is not observed
    comes again, if the order is asked for.
    """
    ledger, left = epoch.ledger, epoch.passes[0].stop - epoch.positions[0]
    touched = epoch.plan_read or any(each.begun for each in epoch.passes)
    touched = touched or len(ledger.log) > len(ledger.carried)
    if run.config.late and epoch.put is not None and left and not touched:
        run.warn_once(
            "loaded",
            f"set_epoch({number}) leaves epoch {epoch.number}, which was loaded: {left} positions "
            "of it were not observed before the save, and nobody is handed them again, so what of "
            f"them was in flight is lost. Begin with set_epoch({epoch.number}), and iterate",
        )


def begin_pass(run: Run, hidden: bool) -> None:
    """See that an iterator has something to go on with: plan the next epoch, or refuse."""
    find_ranks(run)
    epoch = planned(run)
    cursor = epoch.passes[hidden]
    if cursor.anew and not epoch.observed:
        cursor.received = 0
    cursor.anew = False
    if not cursor.used_up:
        _warn_of_a_look(run, epoch, cursor)
        return
    if not hidden and not epoch.named:
        unobserved = bool(run.config.decisive) and not epoch.observed and cursor.stop > 0
        if unobserved and epoch.put is None:
            boundary.warn_unobserved(run, epoch.plan)
        told = run.told
        go_to(run, epoch.number + 1, named=False)
        _warn_of_length(run, told)
        return
    if cursor.stop and not cursor.put_at_end:
        which = "the hidden samples of epoch" if hidden else "epoch"
        verb = "are" if hidden else "is"
        raise RuntimeError(
            f"{which} {epoch.number} {verb} used up: {cursor.received} of {cursor.stop} positions "
            f"were handed out; set_epoch({epoch.number + 1}), or set_epoch({epoch.number}, "
            "restart=True). To go over all samples use all()"
        )


def _warn_of_length(run: Run, told: int | None) -> None:
    """Warn when the epoch that begins is not as long as the user was told."""
    batches = num_batches(run)
    if told is not None and told != batches:
        run.warn_once(
            "length",
            f"epoch {run.current.number} has {batches} batches, and len() said {told} before it "
            "was planned: call set_epoch before len",
        )


def _warn_of_a_look(run: Run, epoch: Epoch, cursor: Pass) -> None:
    """Warn when a pass goes on behind batches that were looked at and not observed."""
    looked = cursor.begun and cursor.received > 0 and bool(run.config.decisive)
    if looked and not epoch.folded and len(epoch.ledger.log) == cursor.observed:
        what = "the hidden pass" if cursor.hidden else "the pass"
        run.warn_once(
            "look",
            f"{what} over epoch {epoch.number} goes on at position {cursor.received} of "
            f"{cursor.stop}, and what came before was not observed: to look at batches use peek()",
        )
