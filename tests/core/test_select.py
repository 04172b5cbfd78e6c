"""hide_lowest is one exact set, whatever the scores."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from score_cases import KINDS, large, scores

from dynsample import _core, ops
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


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("start", [0, 3])
def test_a_sample_that_misleads_changes_nothing(share: float, sign: int, start: int) -> None:
    """The sampled rows are made the extreme ones: the bracket and the ties it offers all miss."""
    values = large("normal", 60_000)[start:]  # the sample follows where the rows lie in memory
    rows = _core.sampled_rows(values)
    assert len(np.unique(rows)) == len(rows) >= len(values) ** (2 / 3) - 8
    values[rows] = sign * (100 + np.arange(len(rows), dtype=np.float32))
    k = int(share * len(values))
    inside = np.sort(values[rows])[[0, -1]]
    kth = np.sort(values)[k - 1]
    assert not inside[0] <= kth <= inside[1]
    np.testing.assert_array_equal(ops.hide_lowest(values, k), reference.hide_lowest(values, k))


def test_what_is_sampled_is_there_and_few_rows_are_not_sampled() -> None:
    for n in (0, 1, 4096):
        assert len(_core.sampled_rows(np.zeros(n, np.float32))) == 0
    for n in (4097, 5000, 100_003):
        for start in range(8):
            rows = _core.sampled_rows(np.zeros(n + start, np.float32)[start:])
            assert rows.min() >= 0
            assert rows.max() < n
            assert (np.diff(rows) > 0).all()


@pytest.mark.parametrize(("counted", "marked"), [(1, 4), (4, 1), (2, 3)])
def test_a_tally_is_marked_as_it_was_counted(counted: int, marked: int) -> None:
    """Rows are cut by the number of threads, which another thread may set in between."""
    before = _core.num_threads()
    n = 3 << 20  # rows of several chunks
    values = np.arange(n, dtype=np.float32) % 3
    candidates = _core.Candidates(values, None, True)
    key = 0x80000000 + int(np.float32(1).view(np.uint32))
    try:
        _core.set_num_threads(counted)
        _, equal = candidates.tally(key)
        _core.set_num_threads(marked)
        for ties in (0, 5, equal // 2, equal):
            expected = values == 0
            expected[np.flatnonzero(values == 1)[:ties]] = True
            np.testing.assert_array_equal(candidates.mark(ties), expected)
    finally:
        _core.set_num_threads(before)


def test_there_is_no_mark_before_a_tally() -> None:
    with pytest.raises(RuntimeError, match=r"mark\(\) marks by the last tally\(\)"):
        _core.Candidates(np.zeros(3, np.float32), None, True).mark(1)


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
        (([1.0, 2.0], 1), TypeError, "scores must be a numpy, torch or DLPack array, got list"),
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
