"""What ranks that train together must have in common at the start of an epoch."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from dynsample.groups.agreement import check_agreement
from dynsample.run.state import STATE_VERSION, identity

if TYPE_CHECKING:
    from dynsample.sampler import Sampler


def check_ranks(sampler: Sampler, epoch: int, restart: bool) -> None:
    """Raise on every rank when ranks were given different things, saying which."""
    if sampler.group.size == 1:
        return
    facts = {
        **identity(sampler, epoch),
        "version": _version(),
        "batch_size": sampler.batch_size,
        "drop_last": sampler.drop_last,
        "placement": sampler.placement,
        "report": sampler.report and sampler.report.facts(),
        "set_epoch": [epoch, restart],
        "generation": sampler.generation,
        **position_of(sampler),
    }
    check_agreement(sampler.group, facts, f"the start of epoch {epoch}")


def position_of(sampler: Sampler) -> dict[str, Any]:
    """Name the position that ranks must share."""
    epoch = sampler._epoch
    if epoch is None:
        return {"current epoch": None}
    kept, hidden = epoch.positions
    named = {"current epoch": epoch.number, "named": epoch.named, "loaded": epoch.put}
    return {**named, "position": kept, "hidden position": hidden}


@cache
def _version() -> str:
    try:
        return f"{version('dynsample')}, state {STATE_VERSION}"
    except PackageNotFoundError:  # run from its sources
        return f"state {STATE_VERSION}"
