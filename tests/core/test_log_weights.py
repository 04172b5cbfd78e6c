"""Weights and rows of ids: given for what an observation would take, and refused like it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynsample.table.log import ObservationLog

torch = pytest.importorskip("torch")

WEIGHTS = np.array([1, 2, 4, 8, 16], np.float32)


def make_log() -> ObservationLog:
    return ObservationLog(5, ["loss"])


KINDS = {
    "int64": lambda ids: ids,
    "int32": lambda ids: ids.astype(np.int32),
    "strided": lambda ids: np.repeat(ids, 2)[::2],
    "big endian": lambda ids: ids.astype(">i8"),
    "[B, 1]": lambda ids: ids[:, None],
    "tensor": torch.from_numpy,
    "tensor int32": lambda ids: torch.from_numpy(ids).int(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_index_is_read_alike(kind: str) -> None:
    log, index = make_log(), KINDS[kind](np.array([3, 0, 3]))
    for _ in range(2):  # the first tensor goes another way than the second
        np.testing.assert_array_equal(log.weights(index, WEIGHTS), np.float32([8, 1, 8]))
        np.testing.assert_array_equal(log.rows_of(index), np.uint32([3, 0, 3]), strict=True)
    found = log.weights(index, None)
    np.testing.assert_array_equal(found, np.ones(3, np.float32), strict=True)


def outcome(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except (IndexError, TypeError, ValueError) as error:
        return type(error), str(error)


@given(
    st.lists(st.integers(-2, 8), max_size=5),
    st.none() | st.lists(st.integers(-1, 4), min_size=7, max_size=7),
    st.none() | st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_they_are_refused_as_an_observation_is(
    ids: list[int], row_of: list[int] | None, allowed: list[bool] | None
) -> None:
    log, index = make_log(), np.array(ids, np.int64)
    log.set_rows(None if row_of is None else np.array(row_of, np.int32))
    log.set_allowed(None if allowed is None else np.array(allowed))
    refused = outcome(log.append, index, {"loss": np.zeros(len(ids), np.float32)})
    if refused is not None:
        assert outcome(log.weights, index, WEIGHTS) == refused
        assert outcome(log.weights, index, None) == refused
        assert outcome(log.rows_of, index) == refused
        return
    rows = ids if row_of is None else [row_of[i] for i in ids]
    assert log.rows_of(index).tolist() == rows
    assert log.weights(index, WEIGHTS).tolist() == [WEIGHTS[row] for row in rows]


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (np.array([True, False]), TypeError, "index must have an integer dtype, got bool"),
        (np.array([0.0]), TypeError, "index must have an integer dtype, got float64"),
        ([0], TypeError, "index must be a numpy, torch or DLPack array, got list"),
        (np.zeros((1, 3), np.int64), ValueError, "index must have one dimension"),
    ],
)
def test_what_is_no_index_is_refused(index: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_log().weights(index, WEIGHTS)


def test_there_is_one_weight_for_each_row() -> None:
    with pytest.raises(ValueError, match="weights must have 5 entries, got 4"):
        make_log().weights(np.array([0]), WEIGHTS[:4])
    with pytest.raises(TypeError):
        make_log().weights(np.array([0]), WEIGHTS.astype(np.float64))  # type: ignore[arg-type]
