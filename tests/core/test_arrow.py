"""`table.to_arrow`: names, types and what cannot be a table."""

from __future__ import annotations

import os

import numpy as np
import pytest

import dynsample as ds

pa = pytest.importorskip("pyarrow")

N = 40


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ([f"{i}" for i in range(N)], pa.large_string()),
        ([b"%d\xff" % i for i in range(N)], pa.large_binary()),
        ([f"{i}\udcff" for i in range(N)], pa.large_binary()),
        # Text when they stand side by side, and not one by one.
        ([f"\udca9{i}" if i % 2 else f"{i}\udcc3" for i in range(N)], pa.large_binary()),
        ([i - 5 for i in range(N)], pa.int64()),
        ([2**64 - 1 - i for i in range(N)], pa.uint64()),
        ([2**64 + i for i in range(N)], pa.large_string()),
    ],
)
@pytest.mark.parametrize("index", [None, np.arange(0, N, 7)])
def test_keys_of_every_kind_are_a_column(
    names: list[str | bytes | int], kind: pa.DataType, index: np.ndarray | None
) -> None:
    rows = N if index is None else len(index)
    table = ds.ScoreTable(rows, {"loss": ds.Last()}, index=index)
    found = table.to_arrow(keys=ds.Keys(names))["key"]
    expected = [names[i] for i in range(N) if index is None or i in index]
    if "binary" in str(kind) and isinstance(names[0], str):
        expected = [os.fsencode(str(name)) for name in expected]
    if "string" in str(kind):
        expected = [str(name) for name in expected]
    assert (found.type, found.to_pylist()) == (kind, expected)


def test_a_column_has_no_name_that_the_file_has() -> None:
    table = ds.ScoreTable(3, {"weight": ds.Last()})
    with pytest.raises(ValueError, match="may be called 'weight', which the file has for another"):
        table.to_arrow()


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_plan_is_one_of_the_table(size: int, count: int) -> None:
    table = ds.ScoreTable(3, {"loss": ds.Last()})
    hidden = np.arange(size) < count
    plan = ds.build_plan(ds.Selection(hidden=hidden), size, seed=0, epoch=0)
    with pytest.raises(ValueError, match="plan must be one of this table, which has 3 rows"):
        table.to_arrow(plan=plan)
    with pytest.raises(TypeError, match="plan must be a Plan, got ndarray"):
        table.to_arrow(plan=hidden)  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [None, np.array([0, 2, 5])])
def test_keys_are_those_of_the_data_set(index: np.ndarray | None) -> None:
    table = ds.ScoreTable(3, {"loss": ds.Last()}, index=index)
    with pytest.raises(ValueError, match=r"with a name for sample [25], got Keys\(\['a', 'b'\]"):
        table.to_arrow(keys=ds.Keys(["a", "b"]))
    with pytest.raises(TypeError, match="keys must be a Keys, got list"):
        table.to_arrow(keys=["a", "b", "c"])  # type: ignore[arg-type]
    assert ds.ScoreTable(0, {"loss": ds.Last()}).to_arrow(keys=ds.Keys([])).num_rows == 0
