"""One process on its own."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from dynsample.groups.base import TIME_LIMIT, Group
from dynsample.groups.flat import Bytes


class Single(Group):
    """One process on its own."""

    def __init__(self) -> None:
        super().__init__(0, 1, TIME_LIMIT)

    def _sum(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        total: NDArray[Any] = words.copy()
        return total

    def _all_gather(self, sent: Bytes, what: str) -> list[Bytes]:
        return [sent.copy()]

    def _all_to_all(self, parts: list[Bytes], what: str) -> list[Bytes]:
        return [part.copy() for part in parts]


def single() -> Group:
    """One process on its own, whatever launched it."""
    return Single()
