"""What a sampler's saved state must hold, behind right checksums: facts, parts, observations."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from dynsample.disk.checkpoint import Saved, StateError, Tensors
from dynsample.disk.fields import Check, Mismatch, anything, array, integer, mapping, record, text
from dynsample.kernels.checks import MAX_EPOCH, MAX_SAMPLES
from dynsample.run.ledger import UNKNOWN

if TYPE_CHECKING:
    from typing_extensions import Required

_COUNT = integer(0, 2**53)


class Identity(TypedDict, total=False):
    """What a saved run must have in common with the one that loads it."""

    num_samples: Required[int]
    subset: Required[object]
    columns: Required[dict[str, str]]
    seed: Required[object]
    policy: Required[object]
    order: Required[object]
    fingerprint: object
    groups: object


class _Position(TypedDict):
    """As far as whoever reads a table needs it; `checked_state` checks all of it."""

    epoch: int


class Facts(TypedDict):
    """What a sampler saves beside its arrays."""

    state: _Position
    identity: Identity


_IDENTITY: Check[Identity] = record(
    {
        "num_samples": integer(0, MAX_SAMPLES),
        "subset": anything,
        "columns": mapping(text),
        "seed": anything,
        "policy": anything,
        "order": anything,
    }
)
_FACTS: Check[Facts] = record(
    {"state": record({"epoch": integer(0, MAX_EPOCH)}), "identity": _IDENTITY}
)
_PARTS = array(array(_COUNT, length=4))


@contextlib.contextmanager
def damaged(path: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Let what the block finds wrong with a part of a saved state be a StateError."""
    try:
        yield
    except StateError:
        raise
    except (ValueError, TypeError, IndexError) as error:
        raise StateError(f"{path} is damaged: {what}: {error}") from error


def checked_facts(saved: Saved, path: str | os.PathLike[str]) -> Facts:
    """Return the facts; raise a StateError unless they and the parts are those of a sampler."""
    try:
        _PARTS(saved.parts, "parts")
        return _FACTS(saved.facts, "facts")
    except Mismatch as error:
        raise StateError(f"{path} is damaged, or no state of a sampler: {error}") from None


def read_observed(
    saved: Saved,
    share: Callable[[int], tuple[int, int]],
    wanted: Callable[[str], bool] = lambda tensor: True,
) -> Tensors:
    """Read a share of what all ranks had observed, and of what was outstanding.

    `share` says which part of how many, in the order of the ranks; `wanted`, which tensors.
    """
    observed: Tensors = {}
    for place, prefix in ((2, ""), (3, "outstanding/")):
        ends = np.cumsum([0, *(part[place] for part in saved.parts)]).tolist()
        observed |= saved.cut("log", prefix, list(pairwise(ends)), share(ends[-1]), wanted)
    return observed


def check_observed(
    observed: Tensors, signals: Iterable[str], num_rows: int, *, extended: bool = False
) -> None:
    """Raise a ValueError unless these are observations of rows of a table, with their tickets.

    With `extended` also with the plans that these are of.
    """
    kinds = {"index": "uint32", "ticket": "int64"}
    kinds |= {f"outstanding/{name}": kind for name, kind in kinds.items()}
    kinds |= {"epoch": "int64", "superseded": "bool"} if extended else {}
    kinds |= {f"signal/{name}": "float32" for name in signals}
    for name, kind in kinds.items():
        if name not in observed:
            raise ValueError(f"{name} is missing")
        if observed[name].dtype != kind or observed[name].ndim != 1:
            found = f"{observed[name].dtype}{list(observed[name].shape)}"
            raise ValueError(f"{name} must be {kind}, one for each observation, got {found}")
    for name in ("index", "outstanding/index"):
        if len(observed[name]) and observed[name].max() >= num_rows:
            raise ValueError(f"{name} must be in [0, {num_rows}), got {observed[name].max()}")


def check_tickets(observed: Tensors, end: int) -> None:
    """Raise a ValueError unless the tickets of observations are positions of the plan."""
    for name, least in (("ticket", UNKNOWN), ("outstanding/ticket", 0)):
        tickets = observed[name]
        if len(tickets) and not (least <= tickets.min() and tickets.max() < end):
            raise ValueError(
                f"{name} must be in [{least}, {end}), got {tickets.min()} to {tickets.max()}"
            )
