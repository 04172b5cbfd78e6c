"""What a sampler saves and how it goes on: position, identity, table and log."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dynsample.disk import checkpoint
from dynsample.disk.checkpoint import StateError, Tensors
from dynsample.disk.files import as_folder
from dynsample.groups.agreement import check_agreement
from dynsample.kernels.checks import integer
from dynsample.plan.plan import Plan
from dynsample.plan.selection import Selection
from dynsample.run import planning
from dynsample.run.boundary import note_issued
from dynsample.run.epoch import Epoch, plan_stats
from dynsample.run.external_ledger import ExternalLedger
from dynsample.run.handed import external, handed_out
from dynsample.run.handout import consumed_positions
from dynsample.run.ledger import Ledger
from dynsample.run.life import planned
from dynsample.run.open_plans import Left, Mask, OpenPlan, cut, from_tensors, to_tensors
from dynsample.run.position import Place, epoch_at, state_dict
from dynsample.run.ranks import position_of
from dynsample.run.run import Observations, Run
from dynsample.run.saved_run import (
    Identity,
    check_observed,
    check_tickets,
    checked_facts,
    damaged,
    read_observed,
)
from dynsample.run.state import (
    OPEN_PLANS_VERSION,
    State,
    check_issue,
    check_position,
    checked_identity,
    checked_state,
    identity,
)
from dynsample.run.turn import warn
from dynsample.table.fold import fold_everywhere
from dynsample.table.log import Portion
from dynsample.table.table import ScoreTable

if TYPE_CHECKING:
    from dynsample.groups import Group
    from dynsample.table.places import Log

_OPEN_PLANS = "open-plans"  # the file
ALLOWABLE = frozenset({"seed", "policy", "order", "fingerprint"})


class _Read(NamedTuple):
    """What this rank read of a saved state."""

    saved: checkpoint.Saved
    state: State
    identity: Identity
    table: ScoreTable
    log: Log
    observed: Tensors
    opened: tuple[OpenPlan, ...]


def save(run: Run, path: str | os.PathLike[str], consumed: int | None) -> None:
    """Write table, log, policy and position as one generation, a part of it on every rank."""
    folder = as_folder(path)
    epoch, group, table = planned(run), run.group, run.table
    what = f"the save to {path}"
    run.observations.ring.drain(everything=True)
    epoch.ledger.log.close()
    if epoch.folded:  # an epoch that is over is saved with the table that it leaves
        note_issued(table, epoch)
    if refused := epoch.ledger.log.refusals():
        run.warn_once("refused", f"observations that are not saved: {refused}")
    opened = None
    if isinstance(epoch.ledger, ExternalLedger):
        given = consumed_positions(run, epoch, consumed, what)
        _check_save(run, (len(given), 0), path)
        _warn_of_changed(run, epoch)
        observed, used = epoch.ledger.state_of(epoch.plan, given, group, what)
        positions = epoch.count(used)
        opened = _opened(epoch, used, group, what)
    else:
        positions = group.agree(lambda: _received(run, epoch, consumed), what)
        _check_save(run, positions, path)
        _warn_of_changed(run, epoch)
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
        files |= {} if opened is None else {_OPEN_PLANS: to_tensors(opened)}
        if run.config.keys is not None:  # for who reads the state without the run
            files["keys"] = {**run.config.keys.state()}
    state = state_dict(run, positions)
    if opened is not None:
        state["version"] = OPEN_PLANS_VERSION
    facts = {"state": state, "identity": identity(run, epoch.number)}
    part = [first, last, len(observed["index"]), len(observed["outstanding/index"])]
    run.generation = checkpoint.save(folder, files, facts, part, group)


def _opened(epoch: Epoch, used: Mask, group: Group, what: str) -> tuple[OpenPlan, ...] | None:
    """Return what a state holds of plans beside the current one; None where there can be none."""
    ledger, handed = external(epoch), None
    if not ledger.extended:
        return None
    if epoch.folded:  # the plan cannot be made again: its table is no more
        handed = handed_out(epoch, used, group, what)
    return ledger.opened(epoch.plan, handed)


def _check_save(run: Run, positions: tuple[int, int], path: str | os.PathLike[str]) -> None:
    """Raise when ranks are at different positions, or save something else."""
    if run.group.size > 1:
        kept, hidden = positions
        here = {"position": kept, "hidden position": hidden, "generation": run.generation}
        changed = {"columns set since the plan": run.table.changed_by_hand}
        facts = {"save": str(path), **position_of(run), **here, **changed}
        check_agreement(run.group, facts, f"the save to {path}")


def _warn_of_changed(run: Run, epoch: Epoch) -> None:
    """Warn when the plan cannot be made again, as columns were set after it was. Collective then.

    What is observed waits in the log, so the table is otherwise the one that the plan is of.
    """
    if not run.table.changed_by_hand or epoch.folded:
        return
    try:
        digest = planning.make_plan(run.config, run.table, run.group, epoch.number).digest
    except ValueError:  # nothing is left to select, for one
        digest = ""
    if digest != epoch.plan.digest:
        run.warn_once(
            "changed",
            f"columns were set after epoch {epoch.number} was planned from them, and a load makes "
            "the plan again: this state is loaded with an allow= alone, and begins the epoch anew. "
            "Set columns directly before set_epoch, or save after the next one",
        )


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
    """Raise when nobody can say what the users' loops received of an epoch that is not over."""
    if epoch.folded:
        return
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
    saved, state, found, table, log, observed, opened = read
    what, over = f"the load of {path}", state.get("folded", False)
    ledger = planning.new_ledger(run.config, log)
    plan, again = _plan_of_state(run, path, allow, table, state)
    if not again and not over:
        _check_tickets(run, path, observed, plan)
    signals = {name: observed[f"signal/{name}"] for name in log.signals}
    if isinstance(ledger, ExternalLedger):
        ledger.open(plan, observed, opened, run.group, known=not again and not over)
        with damaged(path, "the observations"):
            tickets = run.group.agree(lambda: ledger.tickets_of(plan, observed), what)
    else:
        tickets = observed["ticket"]
    outstanding = observed["outstanding/index"], observed["outstanding/ticket"]
    ledger.restore(observed["index"], tickets, signals, outstanding)
    if again:
        left = _fold_all(run, table, ledger, plan)
        plan = planning.make_plan(run.config, table, run.group, state["epoch"])
        epoch = planning.beginning(run, plan, log, left)
        epoch.stats = plan_stats(plan, table)
    else:
        epoch = epoch_at(run, plan, ledger, Place.of(state), plan_stats(plan, table))
        epoch.over = over
        if isinstance(ledger, ExternalLedger):
            epoch.used = ledger.used(plan, run.group, what)
            _check_open(run, path, ledger, plan, epoch.used)
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


def _fold_all(run: Run, table: ScoreTable, ledger: Ledger, plan: Plan) -> Left:
    """Fold what a state holds of a plan that `plan` takes the place of; return what stays open."""
    number = plan.random.epoch
    if not isinstance(ledger, ExternalLedger):
        portion = Portion(number, ledger.carried)
        fold_everywhere(table, ledger.log, [portion], run.group)
        return Left()
    settled = ledger.settle(plan, run.group, f"the observations of epoch {number}")
    fold_everywhere(table, ledger.log, settled.portions, run.group)
    count = sum(map(len, ledger.plans(plan)))
    return ledger.leave(plan, np.zeros(count, np.bool_), np.zeros(count, np.bool_), number)


def _check_open(
    run: Run, path: str | os.PathLike[str], ledger: ExternalLedger, plan: Plan, used: Mask
) -> None:
    """Raise a StateError when the run would lose what is open in a state; on all ranks alike."""
    plans = ledger.plans(plan)
    known = plans[:-1] if plans[-1].positions is None else plans
    left = {
        each.number: int(np.count_nonzero(~here))
        for each, here in zip(known, cut(plans, used), strict=False)
        if not here.all()
    }
    least = max([max(1, plan.random.epoch - number) for number in left], default=0)
    if least > run.config.late:
        raise StateError(
            f"{path} has {sum(left.values())} positions open of epochs "
            f"{', '.join(map(str, left))}, which would be lost here: make the sampler with "
            f'late={least} or more, and issue="external", got late={run.config.late}'
        )


def _check_tickets(run: Run, path: str | os.PathLike[str], observed: Tensors, plan: Plan) -> None:
    """Raise on every rank unless what all ranks read has positions of the plan."""

    def check() -> None:
        with damaged(path, "the observations"):
            own = observed["ticket"]
            if "epoch" in observed:
                own = own[observed["epoch"] == plan.random.epoch]
            check_tickets({**observed, "ticket": own}, plan.num_positions + plan.num_hidden)

    run.group.agree(check, f"the load of {path}")


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
        check_issue(run, state, os.fspath(path))
        return plan, False
    if not allow:
        raise StateError(
            f"{path} holds plan {state['digest']} of epoch {number}, and its table gives "
            f"{plan.digest} here: columns were set after the plan was made, or it was saved by "
            "another version of the code. With allow={'order'} the epoch begins anew, and what was "
            "observed in it is kept"
        )
    warn(
        f"what was allowed to differ changes the plan: epoch {number} starts again, with its "
        "observations so far in the table"
    )
    return plan, True


def _read(run: Run, path: str | os.PathLike[str], allow: frozenset[str]) -> _Read:
    """Read this rank's rows and share of the observations, of whatever ranks wrote them."""
    saved = checkpoint.Saved(as_folder(path))
    facts = checked_facts(saved, path)
    state = checked_state(facts["state"], os.fspath(path))
    here = identity(run, state["epoch"])
    checked_identity(facts["identity"], here, allow, ALLOWABLE, path)
    table, log = planning.empty(run.config, run.group)
    rows = [(first, last) for first, last, _, _ in saved.parts]
    with damaged(path, "the table"):
        table.load(saved.cut("table", "", rows, table.bounds))
    observed = read_observed(saved, lambda count: _share(count, run.group))
    with damaged(path, "the observations"):
        extended = state["version"] == OPEN_PLANS_VERSION
        check_observed(observed, log.signals, table.num_samples, extended=extended)
        opened = from_tensors(saved.read(_OPEN_PLANS), table.num_samples) if extended else ()
    if any(map(len, opened)) and not run.config.external:
        raise StateError(
            f"{path} holds plans that are open of epochs before {state['epoch']}, as late= of its "
            'sampler says: only a sampler that was made with issue="external" can go on with it'
        )
    return _Read(saved, state, facts["identity"], table, log, observed, opened)
