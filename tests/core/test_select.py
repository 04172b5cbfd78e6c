"""hide_lowest is one exact set, whatever the scores."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from score_cases import KINDS, large, scores

from dynsample import ops
from dynsample.reference import select as reference


@given(scores(), st.data())
def test_hides_what_the_oracle_hides(values: np.ndarray, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, len(values)))
    bits = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    eligible = data.draw(st.sampled_from([None, np.array(bits, bool)]))
    finite_only = data.draw(st.booleans())
    hidden = ops.hide_lowest(values, k, eligible, finite_only=finite_only)
    assert hidden.dtype == np.bool_
    expected = reference.hide_lowest(values, k, eligible, finite_only)
    np.testing.assert_array_equal(hidden, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 1e-5, 0.2, 0.3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("n", [4097, 100_003])
def test_many_rows(kind: str, share: float, n: int) -> None:
    values = large(kind, n)
    k = int(share * n)
    expected = reference.hide_lowest(values, k)
    assert expected.sum() == k
    np.testing.assert_array_equal(ops.hide_lowest(values, k), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_many_rows_of_which_some_are_eligible(kind: str) -> None:
    values = large(kind, 50_001)
    eligible = np.random.default_rng(1).random(len(values)) < 0.4
    for k in (10, 9_000, 30_000):
        hidden = ops.hide_lowest(values, k, eligible, finite_only=True)
        np.testing.assert_array_equal(
            hidden, reference.hide_lowest(values, k, eligible, finite_only=True)
        )


def sampled_rows(n: int) -> np.ndarray:
    """The rows that csrc/core/select.cpp samples; only the speed depends on them."""
    count = int(n ** (2 / 3))
    step = (n << 32) // count
    j = np.arange(count, dtype=np.uint64)
    hashes = (j * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    rows = (j * np.uint64(step) + hashes * np.uint64(step >> 32)) >> np.uint64(32)
    return rows.astype(np.int64)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_sample_that_misleads_changes_nothing(share: float, sign: int) -> None:
    """The sampled rows are made the extreme ones: the bracket and the ties it offers all miss."""
    n = 60_000
    values = large("normal", n)
    rows = sampled_rows(n)
    assert len(np.unique(rows)) == len(rows)
    values[rows] = sign * (100 + np.arange(len(rows), dtype=np.float32))
    k = int(share * n)
    np.testing.assert_array_equal(ops.hide_lowest(values, k), reference.hide_lowest(values, k))


def test_arguments_may_be_given_by_name() -> None:
    scores = np.float32([3, 1, 2])
    assert ops.hide_lowest(k=1, scores=scores).tolist() == [False, True, False]
    assert ops.exact_mean(values=scores) == 2
    assert ops.mask_ids(mask=scores > 1).tolist() == [0, 2]


def test_ties_go_to_the_smaller_index_and_zeros_are_equal() -> None:
    values = np.array([0.0, -0.0, 1.0, -0.0, np.nan], np.float32)
    assert ops.hide_lowest(values, 2).tolist() == [True, True, False, False, False]
    assert ops.hide_lowest(values, 4).tolist() == [True, True, True, True, False]


def test_more_than_the_eligible_hides_all_of_them() -> None:
    values = np.array([3, np.nan, 1, np.inf], np.float32)
    eligible = np.array([True, True, False, True])
    assert ops.hide_lowest(values, 4, eligible).tolist() == [True, True, False, True]
    assert ops.hide_lowest(values, 4, eligible, finite_only=True).tolist() == [
        True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("n", [0, 1])
def test_tiny(n: int) -> None:
    for k in range(n + 1):
        assert ops.hide_lowest(np.zeros(n, np.float32), k).sum() == k


def test_tensors_and_strided_arrays() -> None:
    values = large("normal", 1000)
    expected = reference.hide_lowest(values[::3], 100)
    np.testing.assert_array_equal(ops.hide_lowest(values[::3], 100), expected)
    hidden = ops.hide_lowest(torch.from_numpy(values)[::3], 100)
    assert isinstance(hidden, torch.Tensor)
    np.testing.assert_array_equal(hidden.numpy(), expected)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros(3), 1), TypeError, "scores must have dtype float32, got float64: convert"),
        ((torch.zeros(3, dtype=torch.float64), 1), TypeError, "float64: convert"),
        ((np.zeros(3, np.int32), 1), TypeError, "scores must have dtype float32, got int32"),
        (([1.0, 2.0], 1), TypeError, "scores must be a numpy array or a torch tensor, got list"),
        ((np.zeros((3, 1), np.float32), 1), ValueError, "one dimension"),
        ((np.zeros(3, np.float32), 4), ValueError, r"k must be in \[0, 3\], got 4"),
        ((np.zeros(3, np.float32), -1), ValueError, r"k must be in \[0, 3\], got -1"),
        ((np.zeros(3, np.float32), 1.0), TypeError, "k must be an integer, got float"),
        ((np.zeros(3, np.float32), 1, np.ones(2, bool)), ValueError, "eligible must have 3 rows"),
        ((np.zeros(3, np.float32), 1, np.ones(3)), TypeError, "eligible must have dtype bool"),
    ],
)
def test_bad_input(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ops.hide_lowest(*arguments)
