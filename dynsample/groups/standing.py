"""Where a rank stands among the calls of its group, and how ranks compare that."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dynsample.groups.flat import Bytes
from dynsample.groups.interrupts import Deferred

_BYTES = 64  # of what every call begins with: a hash, a length, and what is short enough
INLINE = _BYTES - 16
_TEXT = 512  # bytes of what a rank says about itself
_RANKS = 8  # that a message names


class GroupError(RuntimeError):
    """Another rank has failed, died, stalls, or did not make the same call.

    Examples
    --------
    >>> ds.groups.simulate(2, lambda group: group.barrier(f"the end of {group.rank}"))
    Traceback (most recent call last):
        ...
    dynsample.groups.standing.GroupError: the ranks are out of step: rank 0 is at the end of...
    """


@dataclass
class Standing:
    """How a rank stands in all groups that speak over one communicator.

    Attributes
    ----------
    calls : int
        Collective calls that were begun.
    purposes : list of str
        What for, the outermost first.
    broken : str
        What broke the group; empty while it is whole.
    leaving : bool
        This rank tells the others that it leaves, and does not wait for long.
    signals : Deferred
    """

    calls: int = 0
    purposes: list[str] = field(default_factory=list)
    broken: str = ""
    leaving: bool = False
    signals: Deferred = field(default_factory=Deferred)

    def check(self, what: str) -> None:
        """Raise when no call can be made, or not now."""
        if self.broken:
            raise GroupError(
                f"no call can be made for {what}: {self.broken}; start the ranks again"
            )
        if self.signals.busy:
            raise RuntimeError(
                f"a call for {self.purpose()} is under way, and {what} would be another one: a "
                "signal handler may set a flag, and a thread needs a group of its own"
            )

    def purpose(self) -> str:
        """Say what the present call is for."""
        return ": ".join(dict.fromkeys(self.purposes))


def greeting(purpose: str, sent: Bytes, length: int) -> Bytes:
    """Make what a rank begins a call with, of one size whatever the call."""
    row = hashlib.blake2b(purpose.encode(), digest_size=8).digest() + length.to_bytes(8, "little")
    if len(sent) <= INLINE:
        row += sent.tobytes()
    return _row(row, _BYTES)


def read(greetings: NDArray[np.uint8]) -> tuple[bool, list[int], NDArray[np.uint8]]:
    """Say whether all ranks greeted alike, the lengths that they gave, and what they sent."""
    words = greetings[:, :16].view(np.uint64)
    purposes, lengths = words[:, 0].tolist(), words[:, 1].tolist()
    return purposes.count(purposes[0]) == len(purposes), lengths, greetings[:, 16:]


def as_row(text: str) -> Bytes:
    """Put a text into a row of a fixed size."""
    return _row(text.encode("utf-8", "replace")[:_TEXT], _TEXT)


def _row(content: bytes, size: int) -> Bytes:
    return np.frombuffer(bytearray(content.ljust(size, b"\0")), np.uint8)


def brief(error: BaseException) -> str:
    """Say what an exception is, and what it says if it says anything."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def out_of_step(rows: NDArray[np.uint8]) -> str:
    """Say what each rank does, from a text of each."""
    ranks: dict[str, list[int]] = {}
    for rank, row in enumerate(rows):
        text = row.tobytes().rstrip(b"\0").decode("utf-8", "ignore")
        ranks.setdefault(text, []).append(rank)
    each = "; ".join(f"{_named(those)} {text}" for text, those in ranks.items())
    return f"the ranks are out of step: {each}"


def _named(ranks: Sequence[int]) -> str:
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    shown = ", ".join(map(str, ranks[:_RANKS]))
    return f"ranks {shown}" + (f" and {len(ranks) - _RANKS} more" if len(ranks) > _RANKS else "")
