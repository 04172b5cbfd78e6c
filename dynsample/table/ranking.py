"""Positions in ascending order, over all ranks that share the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample import _core

if TYPE_CHECKING:
    from dynsample.groups import Group

_NOT_ELIGIBLE = np.uint32(0xFFFFFFFF)  # kNotEligibleKey


def ranks(
    values: NDArray[np.float32], where: NDArray[np.bool_] | None, group: Group
) -> NDArray[np.int64]:
    """Return the position of each finite row in ascending order, from 0; -1 for the others.

    Rows compare by (key, row). Collective: every rank sorts its rows, and counts in the sorted keys
    of each other rank, which go around, how many come before them.

    Parameters
    ----------
    values : float32[N]
        Of the rows that are here.
    where : bool[N] or None
        Those that take part; None: all.
    group : Group
        The ranks that share the rows, the lower ones the lower rows.

    Returns
    -------
    int64[N]
    """
    all_keys = _core.order_keys(values, where)
    rows = np.flatnonzero(all_keys != _NOT_ELIGIBLE)
    order = np.sort(all_keys[rows].astype(np.uint64) << np.uint64(32) | rows.astype(np.uint64))
    keys, places = (order >> np.uint64(32)).astype(np.uint32), order.astype(np.uint32)
    positions = np.arange(len(keys))
    for step in range(1, group.size):
        counts = np.zeros(group.size, np.int64)
        counts[(group.rank + step) % group.size] = len(keys)
        theirs = group.exchange(keys, counts, "ranks of rows")
        lower = (group.rank - step) % group.size < group.rank  # equal ones come before, too
        positions += np.searchsorted(theirs, keys, "right" if lower else "left")
    found = np.full(len(values), -1)
    found[places] = positions
    return found
