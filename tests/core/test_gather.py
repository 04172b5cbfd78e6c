"""Rows of mapped columns: equal to the oracle for every dtype and width, in memory or not."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample.reference.gather import gather_rows

DTYPES = st.sampled_from(["bool", "uint8", "float16", "int32", "float32", "int64", "float64"])
SHAPES = st.sampled_from([(), (1,), (2,), (3,), (4,), (7,), (8,), (129,), (2, 3), (0,)])


@given(st.integers(1, 300), st.lists(st.tuples(DTYPES, SHAPES), max_size=5), st.data())
def test_it_equals_the_oracle(n: int, kinds: list, data: st.DataObject) -> None:
    random = np.random.default_rng(0)
    columns = [random.integers(0, 2, (n, *shape)).astype(dtype) for dtype, shape in kinds]
    index = np.array(data.draw(st.lists(st.integers(0, n - 1), max_size=400)), np.int64)
    found, expected = ds.ops.gather_rows(columns, index), gather_rows(columns, index)
    assert len(found) == len(expected)
    for ours, oracle in zip(found, expected, strict=True):
        assert ours.dtype == oracle.dtype
        np.testing.assert_array_equal(ours, oracle)


def test_rows_of_a_file_that_is_not_in_memory_are_the_same(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((5000, 100))
    values.tofile(tmp_path / "rows")
    with (tmp_path / "rows").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    column = np.frombuffer(mapped).reshape(values.shape)
    index = np.random.default_rng(1).permutation(5000)[:999]
    ds.ops.read_ahead([column], index)
    np.testing.assert_array_equal(ds.ops.gather_rows([column], index)[0], values[index])


def test_large_batches_are_the_same_for_every_thread_count() -> None:
    column = np.random.default_rng(0).random((3000, 1000))
    index = np.random.default_rng(1).integers(0, 3000, 4000)
    before = ds._core.num_threads()
    try:
        for threads in (1, 3):
            ds._core.set_num_threads(threads)
            np.testing.assert_array_equal(ds.ops.gather_rows([column], index)[0], column[index])
    finally:
        ds._core.set_num_threads(before)


@pytest.mark.parametrize("call", [ds.ops.gather_rows, ds.ops.read_ahead])
def test_what_cannot_be_gathered_is_named(call: object) -> None:
    column = np.zeros((4, 2))
    with pytest.raises(IndexError, match=r"index must hold rows in \[0, 4\), got 4"):
        call([column], np.array([0, 4]))
    with pytest.raises(IndexError, match=r"got -1"):
        call([column], np.array([-1]))
    with pytest.raises(TypeError, match="index must have an integer dtype, got float32"):
        call([column], np.array([1], np.float32))
    with pytest.raises(ValueError, match="same number of rows, got 4 and 3"):
        call([column, np.zeros(3)], np.array([1]))
    with pytest.raises(ValueError, match="must be C-contiguous"):
        call([np.zeros((4, 4))[:, ::2]], np.array([1]))
