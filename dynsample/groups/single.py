"""One process on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
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

    def _gather_rows(self, row: NDArray[Any], what: str) -> NDArray[Any]:
        return np.stack([row])

    def _all_gather(self, sent: Bytes, lengths: list[int], what: str) -> list[Bytes]:
        return [sent.copy()]

    def _turn(self, values: NDArray[np.int64], what: str) -> NDArray[np.int64]:
        return np.array(values)

    def _exchange(
        self,
        sent: Bytes,
        lengths: NDArray[np.int64],
        counts: NDArray[np.int64],
        longest: int,
        what: str,
    ) -> Bytes:
        return np.array(sent)


def single() -> Group:
    """One process on its own, whatever launched it.

    Examples
    --------
    >>> ds.groups.single().size
    1
    """
    return Single()
