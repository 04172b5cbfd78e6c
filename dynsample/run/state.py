"""What a saved position holds, and whether it is of this run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, TypedDict

from dynsample.disk.checkpoint import StateError
from dynsample.disk.fields import Check, Mismatch, integer, one_of, record, text
from dynsample.kernels.checks import MAX_EPOCH, MAX_SAMPLES

if TYPE_CHECKING:
    from typing_extensions import Required

    from dynsample.plan.plan import Plan
    from dynsample.run.run import Run

STATE_VERSION = 1
OPEN_PLANS_VERSION = 2  # of a state that says which plans its observations are of
_COUNT = integer(0, 2**53)


class State(TypedDict, total=False):
    """The position of a run, as `Sampler.state_dict` returns it."""

    version: Required[int]
    num_samples: Required[int]
    seed: Required[int]
    epoch: Required[int]
    positions: Required[int]
    hidden_positions: Required[int]
    stop: Required[int]
    digest: Required[str]
    generation: Required[int]
    folded: bool
    issue: str


_STATE: Check[State] = record(
    {
        "version": integer(1, 2**53),
        "num_samples": integer(0, MAX_SAMPLES),
        "seed": integer(0, 2**64 - 1),
        "epoch": integer(0, MAX_EPOCH),
        "positions": _COUNT,
        "hidden_positions": _COUNT,
        "stop": _COUNT,
        "digest": text,
        "generation": _COUNT,
        "folded": one_of(True, False),
        "issue": one_of("sampler", "external"),
    },
    optional=["folded", "issue"],
)


def bring(run: Run, fingerprint: Callable[[], str]) -> None:
    """Note the identity of the data set that a loader reads; it is asked for when it is needed.

    Raises
    ------
    StateError
        When the sampler has loaded the state of a run on other data.
    ValueError
        When another one is known already.
    """
    fingerprint = cache(fingerprint)
    known, loaded = run.data_set, run.loaded_fingerprint
    if known is not None and known() != fingerprint():
        raise ValueError(
            f"the data set has the fingerprint {fingerprint()}, and the sampler was made for, or "
            f"reads already, one with {known()}: a sampler is for one data set"
        )
    if known is None and loaded is not None and loaded != fingerprint():
        raise StateError(
            f"the loaded state is of a data set with the fingerprint {loaded}, and this one has "
            f"{fingerprint()}: its scores belong to other samples"
        )
    run.data_set = known or fingerprint


def checked_state(given: object, what: str) -> State:
    """Return a state when it is one, with numbers that can be; `what` is its name in the error.

    Raises
    ------
    StateError
    """
    try:
        state = _STATE(given, what)
        if state["version"] <= OPEN_PLANS_VERSION:
            integer(0, state["stop"])(state["positions"], f"{what}.positions")
    except Mismatch as error:
        raise StateError(f"not a state of a sampler: {error}") from None
    if state["version"] > OPEN_PLANS_VERSION:
        raise StateError(
            f"{what} has version {state['version']}, this dynsample reads up to "
            f"{OPEN_PLANS_VERSION}"
        )
    return state


def check_position(state: State, plan: Plan, what: str) -> None:
    """Raise a StateError unless the position of a state is one in its plan."""
    try:
        integer(0, plan.num_positions)(state["stop"], "stop")
        integer(0, plan.num_hidden)(state["hidden_positions"], "hidden_positions")
    except Mismatch as error:
        raise StateError(f"{what}: {error}, as the plan of epoch {state['epoch']} has") from None


def check_issue(run: Run, state: State, what: str) -> None:
    """Raise a StateError when a state in mid-epoch has no cursor that this run can have."""
    ends = (0, state["stop"])
    if run.config.external or state.get("issue") != "external":
        return
    if state["positions"] not in ends or state["hidden_positions"]:
        raise StateError(
            f'{what} was saved in mid-epoch with issue="external": what is left of the epoch are '
            "samples here and there, which only a sampler that was made so can go on with"
        )


def identity(run: Run, epoch: int) -> dict[str, object]:
    """Name what must be the same for a saved state to be of this run."""
    keys = run.config.keys
    return {
        **({} if keys is None else {"keys": keys.fingerprint}),
        "num_samples": run.config.num_samples,
        "subset": run.config.subset_fingerprint,
        "groups": run.config.groups_fingerprint,
        "columns": {name: repr(column) for name, column in run.table.columns.items()},
        "seed": run.config.seed,
        "policy": run.config.policy.fingerprint(epoch),
        "order": run.config.order_fingerprint,
        "fingerprint": run.fingerprint,
    }


def checked_identity(
    saved: Mapping[str, object],
    here: Mapping[str, object],
    allow: frozenset[str],
    allowable: frozenset[str],
    path: str | os.PathLike[str],
) -> None:
    """Raise when a state is of another run; what an older state does not name is not compared.

    Raises
    ------
    StateError
    """
    present = json.loads(json.dumps(here))
    unknown = (
        {"fingerprint"}
        if present["fingerprint"] is None or saved.get("fingerprint") is None
        else set()
    )
    names = [
        name
        for name in present
        if name in saved and name not in allow | unknown and saved[name] != present[name]
    ]
    if names:
        differences = "; ".join(_difference(name, saved[name], present[name]) for name in names)
        free = set(names) <= allowable
        hint = f"; allow={set(names)} goes past this" if free else ""
        raise StateError(f"{path} is of another run: {differences}{hint}")


def _difference(name: str, saved: object, here: object) -> str:
    """Say how a part of two identities differs; of the same kind of thing, in what alone."""
    if isinstance(saved, dict) and isinstance(here, dict) and saved.keys() == here.keys():
        parts = [part for part in here if saved[part] != here[part]]
        if "class" not in parts:
            told = (_difference(f"{name}.{part}", saved[part], here[part]) for part in parts)
            return "; ".join(told)
    return f"{name}: saved {saved}, here {here}"
