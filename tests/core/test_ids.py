"""Ids that users give: any integer dtype, by value, through every door."""

from __future__ import annotations

import array
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dynsample as ds

torch = pytest.importorskip("torch")

IDS = [1, 0]
ONES = np.ones(2, np.float32)
COLUMN = np.array([10, 20])

KINDS: dict[str, Any] = {
    **{f"numpy {code}": np.array(IDS, code) for code in "bBhHiIlLqQ"},
    "big-endian": np.array(IDS, ">i8"),
    "big-endian, unsigned": np.array(IDS, ">u4"),
    "strided": np.array([1, 9, 0, 9])[::2],
    "one column": np.array([[1], [0]]),
    "array.array": np.asarray(array.array("q", IDS)),
    "shared": np.frombuffer(multiprocessing.Array("q", IDS).get_obj(), "q"),
    **{
        f"torch {name}": torch.tensor(IDS).to(getattr(torch, name))
        for name in ("int8", "uint8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
        if hasattr(torch, name)
    },
}


def sampler() -> ds.Sampler:
    made = ds.Sampler(2, ds.Kakurenbo(), batch_size=2)
    next(iter(made))
    return made


def observe(ids: Any) -> Any:
    made = sampler()
    made.observe(ids, loss=np.float32([5, 6]), correct=ONES, confidence=ONES)
    made.set_epoch(1)
    return made.table["loss"][::-1]


def observe_table(ids: Any) -> Any:
    table = ds.ScoreTable(2, columns={"loss": ds.Last()})
    table.observe(ids, loss=np.float32([5, 6]))
    return table["loss"][::-1]


def plan(ids: Any) -> Any:
    ascending = ids[[1, 0]]
    return ds.build_plan(
        ds.Selection(), 2, seed=0, epoch=0, index=ascending, order="sequential"
    ).order


# What takes ids, and what it gives for 1 and 0.
DOORS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "observe": (observe, [5, 6]),
    "weights": (lambda ids: sampler().weights(ids), [1, 1]),
    "table.observe": (observe_table, [5, 6]),
    "gather_rows": (lambda ids: ds.ops.gather_rows([COLUMN], ids)[0], [20, 10]),
    "read_ahead": (lambda ids: ds.ops.read_ahead([COLUMN], ids) or [], []),
    "unpermute": (
        lambda ids: ds.ops.permute(2, seed=0, epoch=0)[
            np.asarray(ds.ops.unpermute(2, ids, seed=0, epoch=0))
        ],
        IDS,
    ),
    "subset": (lambda ids: ds.Sampler(2, subset=ids).subset, [0, 1]),
    "build_plan": (plan, [0, 1]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", DOORS)
def test_ids_of_any_integer_dtype_count_by_value(door: str, kind: str) -> None:
    if (door, kind) == ("subset", "one column"):
        pytest.skip("a subset is no batch of a loader")
    if door == "build_plan" and kind in ("torch uint16", "torch uint32", "torch uint64"):
        pytest.skip("torch does not index these")
    call, expected = DOORS[door]
    assert np.asarray(call(KINDS[kind])).tolist() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_takes_ids_of_any_integer_dtype(tmp_path: Path, kind: str) -> None:
    ids, logits = KINDS[kind], np.float32([[1, 2, 3], [4, 5, 6]])
    writer = ds.payload.Writer(tmp_path, ds.payload.Facts(2, 3, crops=False))
    with writer.epoch(0) as rows:
        rows.add(ids, logits)
    store = ds.payload.Store(tmp_path)
    store.read_ahead(0, ids)
    np.testing.assert_array_equal(store.batch(0, ids)["logits"], logits)


@pytest.mark.parametrize("door", [door for door in DOORS if door not in ("build_plan", "subset")])
@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (np.array([1.0, 0.0]), TypeError, "must have an integer dtype, got float64"),
        (np.array([True, False]), TypeError, "must have an integer dtype, got bool"),
        (np.array([1, 0], object), TypeError, "must have an integer dtype, got object"),
        (np.zeros((2, 2), np.int64), ValueError, r"must have one dimension, got shape \(2, 2\)"),
        (np.array([0, 2**63 + 5], np.uint64), IndexError, "got 9223372036854775813"),
        (torch.tensor([0, -1]).to(torch.int8), IndexError, "got (id )?-1"),
        (np.array([0, 200], np.uint8), IndexError, "(got (id )?|to )200"),
    ],
    ids=["floats", "a mask", "objects", "a matrix", "beyond int64", "negative", "too large"],
)
def test_what_are_no_ids_is_named(
    door: str, ids: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        DOORS[door][0](ids)


def test_a_subset_beyond_int64_names_the_id() -> None:
    with pytest.raises(IndexError, match="got 9223372036854775813"):
        ds.Sampler(2, subset=np.array([0, 2**63 + 5], np.uint64))
