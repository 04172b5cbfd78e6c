"""The table that a sampler saved, and the plan of its epoch, read without the sampler."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dynsample.disk.checkpoint import Saved, StateError, Tensors
from dynsample.disk.files import as_folder
from dynsample.kernels.checks import choice
from dynsample.kernels.convert import fingerprint, host
from dynsample.kernels.keys import Keys, as_keys
from dynsample.plan.dealing import row_bounds
from dynsample.plan.plan import EpochPlan, build_plan
from dynsample.plan.selection import EpochRandom
from dynsample.policies.base import Policy
from dynsample.policies.registry import POLICIES
from dynsample.run.saved_run import Facts, check_observed, checked_facts, damaged, read_observed
from dynsample.run.state import OPEN_PLANS_VERSION, State, checked_state
from dynsample.table.columns import KINDS, Column, signals_of
from dynsample.table.issued import Issued
from dynsample.table.log import ObservationLog, Portion, fold_portions, portions_of
from dynsample.table.table import ScoreTable

_BLOCKS = 16  # of rows, whose observations are folded one after the other
_KINDS: dict[str, type[Column]] = {kind.__name__: kind for kind in KINDS} | {"Issued": Issued}
_CLASSES = {made.__qualname__: made for made in POLICIES.values()}


class UnknownPlan(ValueError):
    """Why a saved state does not say what its epoch hides."""


class SubsetOf(Protocol):
    """What gives the ids of a subset, by the size of the data set and its keys."""

    def __call__(self, num_samples: int, *, keys: Keys | None) -> NDArray[np.int64]:
        """Return the ids, int64[M], ascending."""


class SavedTable(NamedTuple):
    """What a sampler saved of its samples.

    Attributes
    ----------
    table : ScoreTable
        With all observations until the save.
    keys : Keys or None
        Names of the samples of the data set.
    state : State
        The position, with epoch, seed and digest of the plan.
    plan : EpochPlan or None
        The plan of the epoch, when it was asked for and can be known.
    unknown : str
        Why it cannot.
    """

    table: ScoreTable
    keys: Keys | None
    state: State
    plan: EpochPlan | None
    unknown: str


def read(
    path: str | os.PathLike[str],
    subset: SubsetOf | None = None,
    *,
    planned: bool = False,
) -> SavedTable:
    """Read the table of a saved state, and with `planned` also the plan of its epoch.

    Parameters
    ----------
    path : path
        What `Sampler.save` wrote.
    subset : callable(num_samples, keys=) -> int64[M], optional
        Gives the ids that the sampler was made with, of which a state has the identity only.
    planned : bool

    Raises
    ------
    StateError
        For a state that is damaged.
    ValueError
        For another subset than the state is of.
    """
    saved = Saved(as_folder(path))
    facts = checked_facts(saved, path)
    state = checked_state(facts["state"], os.fspath(path))
    count = facts["identity"]["num_samples"]
    with damaged(path, "the keys"):
        keys = as_keys(Keys.restored(saved.read("keys")), count) if "keys" in saved else None
    index = _index(path, facts, subset, keys)
    rows = count if index is None else len(index)
    parts = saved.cut("table", "", [(part[0], part[1]) for part in saved.parts], (0, rows))
    with damaged(path, "the table"):
        if "seen" not in parts:
            raise ValueError("seen is missing")
        declared = {name: _column(text) for name, text in facts["identity"]["columns"].items()}
        table = ScoreTable(rows, declared, index)
        table.load(parts)
        del parts
    plan, unknown = None, ""
    if planned:
        try:
            plan = _plan(saved, facts, state, table, index)
        except UnknownPlan as error:
            unknown = str(error)
    with damaged(path, "the observations"):
        _fold_rest(saved, table, state)
    return SavedTable(table, keys, state, plan, unknown)


def _index(
    path: str | os.PathLike[str], facts: Facts, subset: SubsetOf | None, keys: Keys | None
) -> NDArray[np.int64] | None:
    """Return the ids of the rows; None where rows are ids."""
    identity = facts["identity"]
    if identity["subset"] is None:
        if subset is not None:
            raise ValueError(f"--subset must be left out: {path} is of a run on all samples")
        return None
    if subset is None:
        raise ValueError(
            f"{path} is of a run on a subset, whose ids it does not hold: export it with --subset"
        )
    index = subset(identity["num_samples"], keys=keys)
    if fingerprint(index) != identity["subset"]:
        raise ValueError(f"--subset must be the one of {path}, got {len(index)} ids, and others")
    return index


def _fold_rest(saved: Saved, table: ScoreTable, state: State) -> None:
    """Apply the observations that are not in the table yet, of all ranks together.

    One signal after the other, so that the others need not be held.
    """
    signals = signals_of(table.columns)
    observed = read_observed(saved, _all, lambda tensor: not tensor.startswith("signal/"))
    for names in [[name] for name in signals] or [[]]:
        _fold(saved, table, names, observed, state)


def _all(count: int) -> tuple[int, int]:
    return 0, count


def _fold(
    saved: Saved, table: ScoreTable, names: list[str], observed: Tensors, state: State
) -> None:
    """Apply some signals to the columns that are made of them, some rows at a time."""
    tensors = {f"signal/{name}" for name in names}
    observed = observed | read_observed(saved, _all, tensors.__contains__)
    extended = state["version"] == OPEN_PLANS_VERSION
    check_observed(observed, names, table.num_samples, extended=extended)
    columns = {
        name: column
        for name, column in table.columns.items()
        if column.observed and (column.signal or name) in names
    }
    for first, last in pairwise(row_bounds(table.num_samples, _BLOCKS)):
        here = np.flatnonzero((observed["index"] >= first) & (observed["index"] < last))
        values = {name: observed[f"signal/{name}"][here] for name in names}
        log = ObservationLog(last - first, names)
        log.restore(observed["index"][here] - np.uint32(first), values)
        parts = {
            name: {part: host(array)[first:last] for part, array in table.all_parts()[name].items()}
            for name in columns
        }
        portions = _portions(observed, here, state)
        fold_portions(log, columns, parts, host(table.seen)[first:last], portions)


def _portions(observed: Tensors, here: NDArray[np.int64], state: State) -> list[Portion]:
    """Return what is folded alike: plan by plan, oldest first, and what is superseded apart."""
    tickets = observed["ticket"][here]
    if "epoch" not in observed:
        return [Portion(state["epoch"], tickets)]
    return portions_of(tickets, observed["epoch"][here], observed["superseded"][here])


def _plan(
    saved: Saved,
    facts: Facts,
    state: State,
    table: ScoreTable,
    index: NDArray[np.int64] | None,
) -> EpochPlan:
    """Plan the epoch again as the state says that it was planned, and compare the digest.

    Raises
    ------
    UnknownPlan
    """
    if state.get("folded", False):
        raise UnknownPlan(f"epoch {state['epoch']} is over, and its plan came from an older table")
    order = facts["identity"]["order"]
    name = order.get("name") if isinstance(order, Mapping) else None
    if name not in ("random", "sequential"):
        raise UnknownPlan(f"the state does not hold what its order, {name}, was made from")
    policy = _policy(facts["identity"]["policy"], state["epoch"])
    try:
        policy.load_state(saved.read("policy"))
        selection = policy.select(table, state["epoch"], EpochRandom(state["seed"], state["epoch"]))
        plan = build_plan(
            selection,
            table.num_samples,
            seed=state["seed"],
            epoch=state["epoch"],
            order=name,
            index=index,
        )
    except StateError:
        raise
    except (ValueError, TypeError, LookupError) as error:  # what the state does not hold is missing
        raise UnknownPlan(
            f"{type(policy).__name__} needs more than the state holds: {error}"
        ) from error
    if plan.digest != state["digest"]:
        raise UnknownPlan(
            f"the plan that {type(policy).__name__} makes here has another digest than the state's"
        )
    return plan


def _policy(identity: object, epoch: int) -> Policy:
    """Make a policy of its fingerprint, where that says all: a method of ours, without arrays."""
    fields = dict(identity) if isinstance(identity, Mapping) else {}
    name = fields.pop("class", None)
    if name not in _CLASSES:
        raise UnknownPlan(f"the policy, {name}, is none of dynsample's own")
    try:
        return _CLASSES[name](**{key: _field(value) for key, value in fields.items()})
    except (ValueError, TypeError) as error:
        raise UnknownPlan(f"{name} cannot be made again from the state: {error}") from error


def _field(value: object) -> object:
    """Return what a field of a policy was, as far as its identity says."""
    if isinstance(value, Mapping) and value.keys() == {"at_epoch", "value"}:
        return lambda _: value["value"]  # asked at this epoch alone
    return value


def _column(text: str) -> Column:
    """Make a column of its `repr`, without running anything."""
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"not a column: {text[:80]!r}") from None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise ValueError(f"not a column: {text!r}")
    kind = _KINDS[choice(call.func.id, "column", tuple(_KINDS))]
    options: Mapping[str, Any] = {
        str(word.arg): ast.literal_eval(word.value) for word in call.keywords
    }
    return kind(**options)
