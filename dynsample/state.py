"""What a saved position holds, and whether it is of this run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from dynsample.checkpoint import StateError

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


def as_fingerprint(value: Any) -> str | None:
    """Give the identity of a data set as a string, or None."""
    if value is not None and (not isinstance(value, str) or not value):
        raise TypeError(
            f"fingerprint must be a non-empty string, got {type(value).__name__} {value!r}"
        )
    return value


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
    unknown = {"data set"} if present["data set"] is None or saved.get("data set") is None else set()
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
