"""What a saved position holds, and whether it is of this run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dynsample.checkpoint import StateError

if TYPE_CHECKING:
    from dynsample.sampler import Sampler

STATE_VERSION = 1
_RANGES = {
    "version": 2**31,
    "num_samples": 2**32,
    "seed": 2**64,
    "epoch": 2**32,
    "stop": 2**63,
    "positions": 2**63,
    "hidden_positions": 2**63,
    "generation": 2**63,
}


def as_fingerprint(value: Any) -> Callable[[], str] | None:
    """Give what gives the identity of a data set, when there is one."""
    if value is not None and (not isinstance(value, str) or not value):
        raise TypeError(
            f"fingerprint must be a non-empty string, got {type(value).__name__} {value!r}"
        )
    return None if value is None else lambda: value


def bring(sampler: Sampler, fingerprint: Callable[[], str]) -> None:
    """Note the identity of the data set that a loader reads; it is asked for when it is needed.

    Raises
    ------
    StateError
        When the sampler has loaded the state of a run on other data.
    ValueError
        When another one is known already.
    """
    known, loaded = sampler._data_set, sampler._loaded_fingerprint
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
    sampler._data_set = known or fingerprint


def checked_state(state: Any, what: str) -> dict[str, Any]:
    """Give a state when it is one, with numbers that can be; `what` is its name in the error.

    Raises
    ------
    StateError
    """
    if not isinstance(state, Mapping):
        raise StateError(f"{what} must be a mapping, got {type(state).__name__}")
    if missing := [name for name in (*_RANGES, "digest") if name not in state]:
        raise StateError(f"{what} is not a state of a sampler: {', '.join(missing)} missing")
    for name, limit in _RANGES.items():
        value = state[name]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < limit:
            raise StateError(f"{what}: {name} must be an integer in [0, {limit}), got {value!r}")
    if state["version"] > STATE_VERSION:
        raise StateError(
            f"{what} has version {state['version']}, this dynsample reads up to {STATE_VERSION}"
        )
    if not isinstance(state["digest"], str):
        raise StateError(f"{what}: digest must be a string, got {state['digest']!r}")
    if not isinstance(state.get("folded", False), bool):
        raise StateError(f"{what}: folded must be True or False, got {state['folded']!r}")
    if state["positions"] > state["stop"]:
        raise StateError(
            f"{what}: positions must be at most stop, {state['stop']}, got {state['positions']}"
        )
    return dict(state)


def checked_identity(
    saved: Any,
    here: Mapping[str, Any],
    allow: frozenset[str],
    allowable: frozenset[str],
    path: str | os.PathLike[str],
) -> None:
    """Raise when a state is of another run; what an older state does not name is not compared.

    Raises
    ------
    StateError
    """
    if not isinstance(saved, Mapping):
        raise StateError(f"{path} is damaged: its identity is a {type(saved).__name__}")
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
        differences = "; ".join(f"{n}: saved {saved[n]}, here {present[n]}" for n in names)
        free = set(names) <= allowable
        hint = f"; allow={set(names)} goes past this" if free else ""
        raise StateError(f"{path} is of another run: {differences}{hint}")
