"""A check that ranks which plan together were given the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dynsample.groups import Group


class DisagreementError(RuntimeError):
    """Ranks that plan together were given different things."""


def check_agreement(group: Group, facts: Mapping[str, object], what: str) -> None:
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
