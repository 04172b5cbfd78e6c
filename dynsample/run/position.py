"""The position of a run: small, of one process, and how to go to one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from dynsample.disk.checkpoint import StateError
from dynsample.plan.plan import Plan
from dynsample.run import planning
from dynsample.run.epoch import Epoch, plan_stats
from dynsample.run.handed import drawn
from dynsample.run.ledger import Ledger
from dynsample.run.life import find_ranks, planned
from dynsample.run.passes import Pass, dealt
from dynsample.run.run import Run
from dynsample.run.state import STATE_VERSION, State, check_issue, check_position, checked_state
from dynsample.run.turn import alone


class Place(NamedTuple):
    """Positions of both passes, and where the kept one ends."""

    kept: int
    hidden: int
    stop: int

    @classmethod
    def of(cls, state: State) -> Place:
        """Take them from a state."""
        return cls(state["positions"], state["hidden_positions"], state["stop"])


def state_dict(run: Run, positions: tuple[int, int] | None = None) -> dict[str, object]:
    """Return the position of a run: JSON-able, of a fixed size."""
    epoch = planned(run)
    if positions is None:
        positions = drawn(epoch) if run.config.external else epoch.positions
    state: dict[str, object] = {
        "version": STATE_VERSION,
        "num_samples": run.config.num_samples,
        "seed": run.config.seed,
        "epoch": epoch.number,
        "positions": positions[0],
        "hidden_positions": positions[1],
        "stop": epoch.passes[0].stop,
        "digest": epoch.plan.digest,
        "generation": run.generation,
    }
    if epoch.folded:
        state["folded"] = True
    if run.config.external:
        state["issue"] = run.config.issue
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
        run.table.changed_by_hand = False
    if plan.digest != state["digest"]:
        raise StateError(
            f"the state is of plan {state['digest']} of epoch {state['epoch']}, and the present "
            f"table gives plan {plan.digest}: load the table with sampler.load(path) first"
        )
    check_position(state, plan, "the state")
    check_issue(run, state, "the state")
    if run.config.external:
        _go_to_external(run, plan, state)
        return
    if current is not None and same:
        ledger, stats = current.ledger, current.stats
    else:
        ledger, stats = Ledger(run.observations.log, folded=0), plan_stats(plan, run.table)
    epoch = epoch_at(run, plan, ledger, Place.of(state), stats)
    if current is not None and same:
        epoch.over, epoch.named = current.over, current.named
        epoch.noted, epoch.noting = current.noted, current.noting
    for cursor in epoch.passes:
        _issue(run, epoch, cursor)
    planning.adopt(run, epoch, drop=not same)


def _go_to_external(run: Run, plan: Plan, state: State) -> None:
    """Go to the epoch of a state, which does not say what of it was used: `save` does."""
    epoch = run.epoch
    same = epoch is not None and epoch.number == state["epoch"]
    begun = state["positions"] or state["hidden_positions"]
    loaded = same and epoch is not None and epoch.used is not None
    if begun and not loaded and run.skips != "framework":
        raise StateError(
            f"the state is in the middle of epoch {state['epoch']}, and which samples of it were "
            "used is in what sampler.save(path) wrote: load that first"
        )
    if not same:
        planning.start(run, plan, named=False, stats=plan_stats(plan, run.table), restart=True)


def epoch_at(
    run: Run,
    plan: Plan,
    ledger: Ledger,
    place: Place,
    stats: dict[str, float],
) -> Epoch:
    """Make the epoch of a plan as a state says it was."""
    passes = (
        Pass(False, place.stop, received=place.kept),
        Pass(True, planning.hidden_stop(plan), received=place.hidden),
    )
    for cursor in passes:
        if not run.config.external:
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
