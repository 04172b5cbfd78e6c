"""Tables with groups, and with what was issued, of every awkward kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from policy_cases import tables

import dynsample as ds
from dynsample.table.columns import Column


class Grouped(NamedTuple):
    """A table, and the group of every row."""

    table: ds.ScoreTable
    labels: np.ndarray


@st.composite
def grouped(
    draw: st.DrawFn, columns: Mapping[str, Column], *, max_epoch: int = 12, max_rows: int = 30
) -> Grouped:
    """Tables as those of `tables`, in up to 5 groups, each row issued in some epoch or never."""
    state = draw(tables(columns, max_rows)).state()
    n = len(state["seen"])
    labels = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    table = ds.ScoreTable(n, columns, groups=np.array(labels, np.int64))
    table.load(state)
    if "issued" in columns:
        last = draw(st.lists(st.integers(-1, max_epoch), min_size=n, max_size=n))
        put_issued(table, last)
    return Grouped(table, np.array(labels, np.int64))


def put_issued(table: ds.ScoreTable, last: list[int]) -> None:
    """Say in which epoch each row was issued last, -1 for never."""
    epochs = np.array(last, np.int64)
    table.put_parts({"issued": {"count": (epochs >= 0).astype(np.uint32), "last_epoch": epochs}})
