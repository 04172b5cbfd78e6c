"""What a sampler saves and how it goes on: position, identity, table and log."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsample import checkpoint
from dynsample.agreement import check_agreement
from dynsample.checkpoint import StateError, Tensors
from dynsample.exchange import fold_everywhere
from dynsample.passes import BatchIterator, Pass
from dynsample.plan import Plan
from dynsample.saved_run import check, check_observed, check_position, damaged
from dynsample.table import ScoreTable

if TYPE_CHECKING:
    from dynsample.ledger import Ledger
    from dynsample.sampler import Sampler

STATE_VERSION = 1
ALLOWABLE = frozenset({"seed", "policy", "order"})


def plan_stats(plan: Plan, table: ScoreTable) -> dict[str, float]:
    """Figures of a plan for `Sampler.stats`."""
    rows = table.num_samples
    return {
        "epoch": plan.random.epoch,
        "num_samples": rows,
        "num_positions": plan.num_positions,
        "num_hidden": plan.num_hidden,
        "fraction": plan.num_hidden / rows if rows else 0.0,
        "lr_scale": plan.lr_scale,
        "unseen": rows - table.count(table.seen),
        **plan.stats,
    }


def check_ranks(sampler: Sampler, epoch: int, restart: bool) -> None:
    """Raise on every rank when ranks were given different things, saying which."""
    if sampler.group.size == 1:
        return
    here = sampler._plan and sampler.epoch
    facts = {
        **identity(sampler, epoch),
        "version": _version(),
        "batch_size": sampler.batch_size,
        "drop_last": sampler.drop_last,
        "placement": sampler.placement,
        "report": sampler.report and sampler.report.facts(),
        "set_epoch": [epoch, restart],
        "current epoch": here,
        "generation": sampler.generation,
    }
    check_agreement(sampler.group, facts, f"the start of epoch {epoch}")


@cache
def _version() -> str:
    try:
        return f"{version('dynsample')}, state {STATE_VERSION}"
    except PackageNotFoundError:  # run from its sources
        return f"state {STATE_VERSION}"


def state_dict(sampler: Sampler) -> dict[str, Any]:
    """Position of a sampler: JSON-able, of a fixed size."""
    plan = sampler.plan
    kept, hidden = sampler._passes
    return {
        "version": STATE_VERSION,
        "num_samples": sampler.num_samples,
        "seed": sampler.seed,
        "epoch": plan.random.epoch,
        "positions": kept.received,
        "hidden_positions": hidden.received,
        "stop": kept.stop,
        "digest": plan.digest,
        "generation": sampler.generation,
    }


def _checked(state: Mapping[str, Any]) -> Mapping[str, Any]:
    names = ("version", "num_samples", "seed", "epoch", "positions", "hidden_positions", "stop")
    missing = [name for name in (*names, "digest", "generation") if name not in state]
    if missing:
        raise StateError(f"not a state of a sampler: {', '.join(missing)} missing")
    if state["version"] > STATE_VERSION:
        raise StateError(
            f"the state has version {state['version']}, this dynsample reads up to {STATE_VERSION}"
        )
    return state


def load_state_dict(sampler: Sampler, state: Mapping[str, Any]) -> None:
    """Go to the position of `state` in the plan that the present table gives."""
    state = _checked(state)
    for name in ("num_samples", "seed"):
        if state[name] != getattr(sampler, name):
            raise StateError(
                f"the state has {name} {state[name]}, the sampler has {getattr(sampler, name)}"
            )
    plan = sampler._plan
    if plan is None or plan.random.epoch != state["epoch"]:
        plan = sampler._make_plan(sampler.table, state["epoch"])
    if plan.digest != state["digest"]:
        raise StateError(
            f"the state is of plan {state['digest']} of epoch {state['epoch']}, and the present "
            f"table gives plan {plan.digest}: load the table with sampler.load(path) first"
        )
    if plan is not sampler._plan:
        sampler._ledger.clear()
        sampler.stats = plan_stats(plan, sampler.table)
    sampler._start(plan, state["stop"], (state["positions"], state["hidden_positions"]))
    for cursor in sampler._passes:
        _issue(sampler, cursor)
    sampler._explicit = False


def _issue(sampler: Sampler, cursor: Pass) -> None:
    """Note as issued what this rank got before the cursor, and take back what comes after."""
    issued, received = sampler._ledger.issued[cursor.hidden], cursor.received
    issued.rewind(received)
    cursor.received = issued.end
    batches = BatchIterator(sampler, cursor.hidden, sampler.batch_size, prefetching=False)
    while cursor.received < received:
        next(batches)
    cursor.rewind()
    cursor.seconds, cursor.timed = 0.0, 0


def identity(sampler: Sampler, epoch: int) -> dict[str, Any]:
    """Name what must be the same for a saved state to be of this run."""
    return {
        "num_samples": sampler.num_samples,
        "subset": sampler._subset_fingerprint,
        "columns": {name: repr(column) for name, column in sampler.table.columns.items()},
        "seed": sampler.seed,
        "policy": sampler.policy.fingerprint(epoch),
        "order": sampler._order_fingerprint,
    }


def save(sampler: Sampler, path: str | os.PathLike[str], consumed: int | None) -> None:
    """Write table, log, policy and position as one generation, a part of it on every rank."""
    plan, group, table = sampler.plan, sampler.group, sampler.table
    kept, hidden = sampler._passes
    kept.received = group.agree(lambda: _received(sampler, consumed), f"the save to {path}")
    first, last = _share(table.num_samples, group.rank, group.size)
    if table.sharded:
        first, last = table.bounds
    begin = table.bounds[0]
    observed = sampler._ledger.state(
        plan, (kept.received, hidden.received), group, f"the save to {path}"
    )
    files = {
        f"table-{group.rank:05d}": {
            name: array[first - begin : last - begin] for name, array in table.state().items()
        },
        f"log-{group.rank:05d}": observed,
    }
    if group.rank == 0:
        files["policy"] = sampler.policy.state()
    facts = {"state": state_dict(sampler), "identity": identity(sampler, plan.random.epoch)}
    part = [first, last, len(observed["index"]), len(observed["outstanding/index"])]
    sampler.generation = checkpoint.save(Path(path), files, facts, part, group)


def _share(count: int, rank: int, size: int) -> tuple[int, int]:
    return rank * count // size, (rank + 1) * count // size


def _received(sampler: Sampler, consumed: int | None) -> int:
    """Positions that the users' loops received."""
    kept, rows = sampler._passes[0], sampler.batch_size * sampler.group.size
    if consumed is None:
        given = sampler._ledger.issued[0].before(kept.received)
        observed = len(sampler._log) - len(sampler._ledger.carried)
        if len(sampler._log) and given - observed > sampler.batch_size:
            raise ValueError(
                f"{given} rows of epoch {sampler.epoch} were drawn and {observed} observed: a "
                "loader that prefetches cannot say what your loop received; pass consumed=, the "
                "number of batches it received"
            )
        return kept.received
    drawn = -(-(kept.drawn - kept.start) // rows)
    if not 0 <= consumed <= drawn:
        raise ValueError(
            f"consumed must be in [0, {drawn}], the batches drawn since the iterator began, "
            f"got {consumed}"
        )
    return min(kept.start + consumed * rows, kept.stop)


def load(sampler: Sampler, path: str | os.PathLike[str], allow: frozenset[str]) -> None:
    """Restore what `save` wrote; the sampler changes only when everything was checked."""
    if not allow <= ALLOWABLE:
        raise ValueError(
            f"allow must be among {', '.join(sorted(ALLOWABLE))}, got {', '.join(sorted(allow))}"
        )
    group = sampler.group
    saved, table, observed = group.agree(lambda: _read(sampler, path, allow), f"the load of {path}")
    state = saved.facts["state"]
    before = sampler.policy.state()
    try:
        with damaged(path, "the policy's state"):
            if "policy" not in allow:
                sampler.policy.load_state(saved.read("policy"))
            plan = sampler._make_plan(table, state["epoch"])
        changed = plan.digest != state["digest"]
        if changed and not allow:
            raise StateError(
                f"{path} holds plan {state['digest']} of epoch {state['epoch']}, and its table "
                f"gives {plan.digest} here: it was saved by another version of the code"
            )
        with damaged(path, "the position"):
            if not changed:
                check_position(state, observed, plan.num_positions, plan.num_hidden)
        if changed:
            plan = _start_again(sampler, table, observed, state)
    except BaseException:
        sampler.policy.load_state(before)
        raise
    _, ledger = sampler._empty(sampler.table.columns)
    sampler._replace(table, ledger)
    sampler.generation = saved.generation
    sampler.stats = plan_stats(plan, table)
    if changed:
        sampler._start(plan)
    else:
        _restore(ledger, observed)
        sampler._start(plan, state["stop"], (state["positions"], state["hidden_positions"]))
        for cursor in sampler._passes:
            ledger.issued[cursor.hidden].end = cursor.received
    sampler._explicit = False


def _read(
    sampler: Sampler, path: str | os.PathLike[str], allow: frozenset[str]
) -> tuple[checkpoint.Saved, ScoreTable, Tensors]:
    """Read this rank's rows and share of the observations, of whatever ranks wrote them."""
    saved = checkpoint.Saved(Path(path))
    check(saved, path)
    epoch = _checked(saved.facts["state"])["epoch"]
    _check_identity(saved.facts["identity"], identity(sampler, epoch), allow, path)
    table, _ = sampler._empty(sampler.table.columns)
    rows = [(first, last) for first, last, _, _ in saved.parts]
    with damaged(path, "the table"):
        table.load(saved.cut("table", "", rows, table.bounds))
    observed: Tensors = {}
    for place, prefix in ((2, ""), (3, "outstanding/")):
        ends = np.cumsum([0, *(part[place] for part in saved.parts)]).tolist()
        share = _share(ends[-1], sampler.group.rank, sampler.group.size)
        observed |= saved.cut("log", prefix, list(pairwise(ends)), share)
    with damaged(path, "the observations"):
        check_observed(observed, sampler._ledger.log.signals, table.num_samples)
    return saved, table, observed


def _restore(ledger: Ledger, observed: Tensors) -> None:
    signals = {name: observed[f"signal/{name}"] for name in ledger.log.signals}
    outstanding = observed["outstanding/index"], observed["outstanding/ticket"]
    ledger.restore(observed["index"], observed["ticket"], signals, outstanding)


def _start_again(
    sampler: Sampler, table: ScoreTable, observed: Tensors, state: Mapping[str, Any]
) -> Plan:
    _, ledger = sampler._empty(sampler.table.columns)
    _restore(ledger, observed)
    fold_everywhere(
        table, ledger.log, ledger.carried, sampler.group, epoch=state["epoch"], repeated=True
    )
    warnings.warn(
        f"what was allowed to differ changes the plan: epoch {state['epoch']} starts again, with "
        "its observations so far in the table",
        RuntimeWarning,
        stacklevel=4,
    )
    return sampler._make_plan(table, state["epoch"])


def _check_identity(
    saved: Mapping[str, Any],
    here: Mapping[str, Any],
    allow: frozenset[str],
    path: str | os.PathLike[str],
) -> None:
    present = json.loads(json.dumps(here))
    differences = [
        f"{name}: saved {saved.get(name)}, here {present[name]}"
        for name in present
        if saved.get(name) != present[name] and name not in allow
    ]
    if differences:
        names = [line.split(":")[0] for line in differences if line.split(":")[0] in ALLOWABLE]
        hint = f"; allow={set(names)} goes past this" if len(names) == len(differences) else ""
        raise StateError(f"{path} is of another run: {'; '.join(differences)}{hint}")
