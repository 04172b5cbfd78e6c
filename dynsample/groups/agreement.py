"""Checks that ranks which plan together would plan the same, and are at one place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsample.run.state import STATE_VERSION, identity

if TYPE_CHECKING:
    from dynsample.groups import Group
    from dynsample.sampler import Sampler


class DisagreementError(RuntimeError):
    """Ranks that plan together were given different things."""


def check_agreement(group: Group, facts: Mapping[str, Any], what: str) -> None:
    """Raise on every rank when `facts`, JSON-able, differ; say which, and on which ranks.

    Raises
    ------
    DisagreementError
    """
    if group.size == 1:
        return
    text = json.dumps(facts, sort_keys=True).encode()
    digest = np.frombuffer(hashlib.blake2b(text, digest_size=16).digest(), np.uint8)
    digests = group.all_gather(digest, what)
    if (np.stack(digests) == digest).all():
        return
    texts = group.all_gather(np.frombuffer(text, np.uint8), what)
    first, *others = (json.loads(part.tobytes()) for part in texts)
    differences = [
        f"{name}: rank 0 has {first.get(name)}, rank {rank} has {other.get(name)}"
        for rank, other in enumerate(others, 1)
        for name in sorted({*first, *other})
        if first.get(name) != other.get(name)
    ]
    raise DisagreementError(f"ranks disagree in {what}: {'; '.join(differences[:8])}")


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
