"""What a sampler saves and how it goes on: position, identity, table and log."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dynsample.disk import checkpoint
from dynsample.disk.checkpoint import StateError, Tensors
from dynsample.groups.agreement import check_agreement
from dynsample.kernels.checks import integer
from dynsample.plan.plan import Plan
from dynsample.plan.selection import Selection
from dynsample.run import planning
from dynsample.run.epoch import Epoch, plan_stats
from dynsample.run.ledger import Ledger
from dynsample.run.life import find_ranks, planned
from dynsample.run.passes import Pass, dealt
from dynsample.run.ranks import position_of
from dynsample.run.run import Observations, Run
from dynsample.run.saved_run import Identity, check_observed, check_tickets, checked_facts, damaged
from dynsample.run.state import (
    STATE_VERSION,
    State,
    check_position,
    checked_identity,
    checked_state,
    identity,
)
from dynsample.run.turn import alone, warn
from dynsample.table.fold import fold_everywhere
from dynsample.table.table import ScoreTable

if TYPE_CHECKING:
    from dynsample.groups import Group
    from dynsample.table.places import Log

ALLOWABLE = frozenset({"seed", "policy", "order", "fingerprint"})


class _Place(NamedTuple):
    """Positions of both passes, and where the kept one ends."""

    kept: int
    hidden: int
    stop: int

    @classmethod
    def of(cls, state: State) -> _Place:
        """Take them from a state."""
        return cls(state["positions"], state["hidden_positions"], state["stop"])


class _Read(NamedTuple):
    """What this rank read of a saved state."""

    saved: checkpoint.Saved
    state: State
    identity: Identity
    table: ScoreTable
    log: Log
    observed: Tensors


def state_dict(run: Run, positions: tuple[int, int] | None = None) -> dict[str, object]:
    """Return the position of a run: JSON-able, of a fixed size."""
    epoch = planned(run)
    kept, hidden = epoch.positions if positions is None else positions
    state: dict[str, object] = {
        "version": STATE_VERSION,
        "num_samples": run.config.num_samples,
        "seed": run.config.seed,
        "epoch": epoch.number,
        "positions": kept,
        "hidden_positions": hidden,
        "stop": epoch.passes[0].stop,
        "digest": epoch.plan.digest,
        "generation": run.generation,
    }
    if epoch.folded:
        state["folded"] = True
    return state


def go_to_state(run: Run, state: Mapping[str, object]) -> None:
    """Go to the position of a state, as a call that nothing else begins in the middle of."""
    find_ranks(run)
    alone(run, "load_state_dict", partial(load_state_dict, run, state))


def load_state_dict(run: Run, given: Mapping[str, object]) -> None:
    """Go to the position of a state in the plan that the present table gives."""
    state = checked_state(given, "the state")
    for name, saved, here in (
        ("num_samples", state["num_samples"], run.config.num_samples),
        ("seed", state["seed"], run.config.seed),
    ):
        if saved != here:
            raise StateError(f"the state has {name} {saved}, the sampler has {here}")
    current = run.epoch
    untouched = current is not None and current.positions == (0, 0) and current.put is None
    if current is not None and untouched and current.named and current.number != state["epoch"]:
        run.warn_once(
            "late state",
            f"a state of epoch {state['epoch']} came after set_epoch({current.number}), which is "
            "left as it is: load a state before set_epoch, or let it say the epoch",
        )
        return
    same = current is not None and current.number == state["epoch"]
    if current is not None and same:
        plan = current.plan
    else:
        plan = planning.make_plan(run.config, run.table, run.group, state["epoch"])
    if plan.digest != state["digest"]:
        raise StateError(
            f"the state is of plan {state['digest']} of epoch {state['epoch']}, and the present "
            f"table gives plan {plan.digest}: load the table with sampler.load(path) first"
        )
    check_position(state, plan, "the state")
    if current is not None and same:
        ledger, stats = current.ledger, current.stats
    else:
        ledger, stats = Ledger(run.observations.log, folded=0), plan_stats(plan, run.table)
    epoch = _epoch(run, plan, ledger, _Place.of(state), stats)
    if current is not None and same:
        epoch.over, epoch.named = current.over, current.named
    for cursor in epoch.passes:
        _issue(run, epoch, cursor)
    planning.adopt(run, epoch, drop=not same)


def _epoch(
    run: Run,
    plan: Plan,
    ledger: Ledger,
    place: _Place,
    stats: dict[str, float],
) -> Epoch:
    """Make the epoch of a plan as a state says it was."""
    passes = (
        Pass(False, place.stop, received=place.kept),
        Pass(True, planning.hidden_stop(plan), received=place.hidden),
    )
    for cursor in passes:
        cursor.rewind()
        cursor.put_at_end = cursor.received >= cursor.stop
    return Epoch(plan, passes, ledger, put=(place.kept, place.hidden), stats=stats)


def _issue(run: Run, epoch: Epoch, cursor: Pass) -> None:
    """Note as issued what this rank got before the cursor, and take back what comes after.

    Where steps of today's batch size and number of ranks do not end at the cursor, another run made
    them, and who got what is not known: as after a load, nothing is issued then.
    """
    issued, received = epoch.ledger.issued[cursor.hidden], cursor.received
    issued.rewind(received)
    steps = run.steps()
    if (received - issued.end) % steps.rows and received != cursor.stop:
        issued.end = received
        return
    rows = epoch.plan.source(steps, issued.end, cursor.stop, hidden=cursor.hidden)
    for start in range(issued.end, received, steps.rows):
        stop = min(start + steps.rows, cursor.stop)
        first, last, place = dealt(steps, start, stop)
        epoch.ledger.issue(
            hidden=cursor.hidden, step=start, stop=stop, first=place, rows=rows(first, last)
        )


def save(run: Run, path: str | os.PathLike[str], consumed: int | None) -> None:
    """Write table, log, policy and position as one generation, a part of it on every rank."""
    epoch, group, table = planned(run), run.group, run.table
    what = f"the save to {path}"
    run.observations.ring.drain(everything=True)
    epoch.ledger.log.close()
    if refused := epoch.ledger.log.refusals():
        run.warn_once("refused", f"observations that are not saved: {refused}")
    positions = group.agree(lambda: _received(run, epoch, consumed), what)
    if group.size > 1:
        kept, hidden = positions
        here = {"position": kept, "hidden position": hidden, "generation": run.generation}
        check_agreement(group, {"save": str(path), **position_of(run), **here}, what)
    observed = epoch.ledger.state(epoch.plan, positions, group, what)
    group.agree(lambda: _check_counted(epoch, observed, consumed), what)
    first, last = table.bounds if table.sharded else _share(table.num_samples, group)
    begin = table.bounds[0]
    files = {
        f"table-{group.rank:05d}": {
            name: array[first - begin : last - begin] for name, array in table.state().items()
        },
        f"log-{group.rank:05d}": observed,
    }
    if group.rank == 0:
        files["policy"] = run.config.policy.state()
    facts = {"state": state_dict(run, positions), "identity": identity(run, epoch.number)}
    part = [first, last, len(observed["index"]), len(observed["outstanding/index"])]
    run.generation = checkpoint.save(Path(path), files, facts, part, group)


def _share(count: int, group: Group) -> tuple[int, int]:
    return group.rank * count // group.size, (group.rank + 1) * count // group.size


def _received(run: Run, epoch: Epoch, consumed: int | None) -> tuple[int, int]:
    """Positions of both passes that the users' loops received."""
    cursor = epoch.latest
    if consumed is None or cursor is None:
        return epoch.positions
    rows = run.steps(cursor.batch_size).rows
    drawn = -(-(cursor.drawn - cursor.start) // rows)
    batches = integer(consumed, "consumed", 0, drawn)
    position = min(cursor.start + batches * rows, cursor.stop)
    kept, hidden = epoch.positions
    return (kept, position) if cursor.hidden else (position, hidden)


def _check_counted(epoch: Epoch, observed: Tensors, consumed: int | None) -> None:
    """Raise when nobody can say what the users' loops received."""
    positions = observed["outstanding/ticket"]
    for cursor in epoch.passes:
        hidden = positions >= epoch.plan.num_positions
        left = int(np.count_nonzero(hidden == cursor.hidden))
        if cursor.counted or not left or (consumed is not None and cursor is epoch.latest):
            continue
        which = "hidden rows" if cursor.hidden else "rows"
        raise ValueError(
            f"{left} {which} of epoch {epoch.number} were drawn and not observed, and a loader "
            "that draws ahead cannot say which of them your loop received: pass consumed=, the "
            "number of batches that it received since it began. The loaders of dynsample count "
            "themselves"
        )


def load(run: Run, path: str | os.PathLike[str], allow: frozenset[str]) -> None:
    """Restore what `save` wrote; the run changes only when everything was checked."""
    if not allow <= ALLOWABLE:
        raise ValueError(
            f"allow must be among {', '.join(sorted(ALLOWABLE))}, got {', '.join(sorted(allow))}"
        )
    group, what = run.group, f"the load of {path}"
    if group.size > 1:
        check_agreement(group, {"load": str(path), "allow": sorted(allow)}, what)
    read = group.agree(lambda: _read(run, path, allow), what)
    before = run.config.policy.state()
    try:
        if "policy" not in allow:
            with damaged(path, "the policy's state"):
                run.config.policy.load_state(read.saved.read("policy"))
        _restore(run, path, allow, read)
    except BaseException:
        if run.observations.log is not read.log:  # not adopted
            run.config.policy.load_state(before)
        raise


def _restore(
    run: Run,
    path: str | os.PathLike[str],
    allow: frozenset[str],
    read: _Read,
) -> None:
    saved, state, found, table, log, observed = read
    ledger = Ledger(log)
    plan, again = _plan_of_state(run, path, allow, table, state)
    signals = {name: observed[f"signal/{name}"] for name in log.signals}
    outstanding = observed["outstanding/index"], observed["outstanding/ticket"]
    ledger.restore(observed["index"], observed["ticket"], signals, outstanding)
    if again:
        fold_everywhere(table, log, ledger.carried, run.group, epoch=state["epoch"], by_ticket=True)
        plan, ledger = planning.make_plan(run.config, table, run.group, state["epoch"]), Ledger(log)
        start = _Place(0, 0, planning.stop_of(run, plan))
        epoch = _epoch(run, plan, ledger, start, plan_stats(plan, table))
        epoch.put = None
    else:
        epoch = _epoch(run, plan, ledger, _Place.of(state), plan_stats(plan, table))
        epoch.over = state.get("folded", False)
        if not epoch.over:
            with damaged(path, "the observations"):
                check_tickets(observed, plan.num_positions + plan.num_hidden)
        for cursor in epoch.passes:
            ledger.issued[cursor.hidden].end = cursor.received
    planning.adopt(
        run,
        epoch,
        table=table,
        observations=Observations(log),
        generation=saved.generation,
        loaded_fingerprint=None if "fingerprint" in allow else found.get("fingerprint"),
    )


def _plan_of_state(
    run: Run,
    path: str | os.PathLike[str],
    allow: frozenset[str],
    table: ScoreTable,
    state: State,
) -> tuple[Plan, bool]:
    """Return the plan that a state is of, and whether another one takes its place."""
    number = state["epoch"]
    if state.get("folded", False):  # its plan came from a table that is no more
        state["stop"] = state["positions"] = state["hidden_positions"] = 0
        nothing = Selection(counts=table.arrays.no_counts(table.num_rows))
        return planning.plan_of(run.config, table, run.group, nothing, number), False
    plan = planning.make_plan(run.config, table, run.group, number)
    if plan.digest == state["digest"]:
        check_position(state, plan, os.fspath(path))
        return plan, False
    if not allow:
        raise StateError(
            f"{path} holds plan {state['digest']} of epoch {number}, and its table gives "
            f"{plan.digest} here: it was saved by another version of the code"
        )
    warn(
        f"what was allowed to differ changes the plan: epoch {number} starts again, with its "
        "observations so far in the table"
    )
    return plan, True


def _read(run: Run, path: str | os.PathLike[str], allow: frozenset[str]) -> _Read:
    """Read this rank's rows and share of the observations, of whatever ranks wrote them."""
    saved = checkpoint.Saved(Path(path))
    facts = checked_facts(saved, path)
    state = checked_state(facts["state"], os.fspath(path))
    here = identity(run, state["epoch"])
    checked_identity(facts["identity"], here, allow, ALLOWABLE, path)
    table, log = planning.empty(run.config, run.group)
    rows = [(first, last) for first, last, _, _ in saved.parts]
    with damaged(path, "the table"):
        table.load(saved.cut("table", "", rows, table.bounds))
    observed: Tensors = {}
    for place, prefix in ((2, ""), (3, "outstanding/")):
        ends = np.cumsum([0, *(part[place] for part in saved.parts)]).tolist()
        share = _share(ends[-1], run.group)
        observed |= saved.cut("log", prefix, list(pairwise(ends)), share)
    with damaged(path, "the observations"):
        check_observed(observed, log.signals, table.num_samples)
    return _Read(saved, state, facts["identity"], table, log, observed)
