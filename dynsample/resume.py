"""What a sampler saves and how it goes on: position, identity, table and log."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynsample import checkpoint
from dynsample._arrays import fingerprint
from dynsample.checkpoint import StateError, Tensors
from dynsample.plan import EpochPlan
from dynsample.table import ScoreTable

if TYPE_CHECKING:
    from dynsample.sampler import Sampler

STATE_VERSION = 1
ALLOWABLE = frozenset({"seed", "policy", "order"})


def plan_stats(plan: EpochPlan, table: ScoreTable) -> dict[str, float]:
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
        sampler._log.clear()
        sampler.stats = plan_stats(plan, sampler.table)
    _resume(sampler, plan, state)


def _resume(sampler: Sampler, plan: EpochPlan, state: Mapping[str, Any]) -> None:
    sampler._start(plan, kept_stop=state["stop"])
    kept, hidden = sampler._passes
    kept.received, hidden.received = state["positions"], state["hidden_positions"]
    for cursor in (kept, hidden):
        cursor.rewind()
    sampler._explicit = False


def identity(sampler: Sampler, epoch: int) -> dict[str, Any]:
    """Name what must be the same for a saved state to be of this run."""
    return {
        "num_samples": sampler.num_samples,
        "subset": None if sampler.subset is None else fingerprint(sampler.subset),
        "columns": {name: repr(column) for name, column in sampler.table.columns.items()},
        "seed": sampler.seed,
        "policy": sampler.policy.fingerprint(epoch),
        "order": sampler._order.fingerprint(),
    }


def save(sampler: Sampler, path: str | os.PathLike[str], consumed: int | None) -> None:
    """Write table, log, policy and position as one generation."""
    plan = sampler.plan
    kept = sampler._passes[0]
    if consumed is not None:
        kept.received = _consumed_positions(sampler, consumed)
    elif kept.received - len(sampler._log) > sampler.batch_size and len(sampler._log):
        raise ValueError(
            f"{kept.received} positions of epoch {plan.random.epoch} were drawn and "
            f"{len(sampler._log)} observed: a loader that prefetches cannot say what your loop "
            "received; pass consumed=, the number of batches it received"
        )
    files = {
        "table.safetensors": sampler.table.state(),
        "log.safetensors": {
            "index": sampler._log.index(),
            **{f"signal/{name}": sampler._log.signal(name) for name in sampler._log.signals},
        },
        "policy.safetensors": sampler.policy.state(),
    }
    facts = {"state": state_dict(sampler), "identity": identity(sampler, plan.random.epoch)}
    sampler.generation = checkpoint.save(Path(path), files, facts)


def _consumed_positions(sampler: Sampler, consumed: int) -> int:
    kept = sampler._passes[0]
    drawn = -(-(kept.drawn - kept.start) // sampler.batch_size)
    if not 0 <= consumed <= drawn:
        raise ValueError(
            f"consumed must be in [0, {drawn}], the batches drawn since the iterator began, "
            f"got {consumed}"
        )
    return min(kept.start + consumed * sampler.batch_size, kept.stop)


def load(sampler: Sampler, path: str | os.PathLike[str], allow: frozenset[str]) -> None:
    """Restore what `save` wrote; the sampler changes only when everything was checked."""
    if not allow <= ALLOWABLE:
        raise ValueError(
            f"allow must be among {', '.join(sorted(ALLOWABLE))}, got {', '.join(sorted(allow))}"
        )
    files, facts = checkpoint.load(Path(path))
    state = _checked(facts["state"])
    _check_identity(facts["identity"], identity(sampler, state["epoch"]), allow, path)
    table, log = sampler._empty(sampler.table.columns)
    table.load(files["table.safetensors"])
    _restore_log(log, files["log.safetensors"])
    before = sampler.policy.state()
    try:
        if "policy" not in allow:
            sampler.policy.load_state(files["policy.safetensors"])
        plan = sampler._make_plan(table, state["epoch"])
        changed = plan.digest != state["digest"]
        if changed and not allow:
            raise StateError(
                f"{path} holds plan {state['digest']} of epoch {state['epoch']}, and its table "
                f"gives {plan.digest} here: it was saved by another version of the code"
            )
        if changed:
            plan = _start_again(sampler, table, log, state)
    except BaseException:
        sampler.policy.load_state(before)
        raise
    sampler._replace(table, log)
    sampler.generation = checkpoint.read_index(Path(path))["generation"]
    sampler.stats = plan_stats(plan, table)
    if changed:
        sampler._start(plan)
    else:
        _resume(sampler, plan, state)


def _start_again(
    sampler: Sampler, table: ScoreTable, log: Any, state: Mapping[str, Any]
) -> EpochPlan:
    table.fold(log, epoch=state["epoch"])
    warnings.warn(
        f"what was allowed to differ changes the plan: epoch {state['epoch']} starts again, with "
        f"its {len(log)} observations in the table",
        RuntimeWarning,
        stacklevel=4,
    )
    log.clear()
    return sampler._make_plan(table, state["epoch"])


def _restore_log(log: Any, tensors: Tensors) -> None:
    signals = {name: tensors[f"signal/{name}"] for name in log.signals}
    log.restore(tensors["index"], signals)


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
