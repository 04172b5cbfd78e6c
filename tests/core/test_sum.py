"""Exact sums equal math.fsum bit for bit; extremes equal numpy's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from score_cases import KINDS, large, scores

from dynsample import _core, ops
from dynsample.reference import select as reference


def same(found: float, expected: float) -> None:
    assert found == expected or (math.isnan(found) and math.isnan(expected))


@given(scores(), st.data())
def test_mean_and_extremes_equal_the_oracle(values: np.ndarray, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    where = data.draw(st.sampled_from([None, np.array(bits, bool)]))
    finite_only = data.draw(st.booleans())
    same(
        ops.exact_mean(values, where, finite_only=finite_only),
        reference.exact_mean(values, where, finite_only),
    )
    found = ops.min_max(values, where, finite_only=finite_only)
    for ours, theirs in zip(found, reference.min_max(values, where, finite_only), strict=True):
        same(ours, theirs)


def exact_sum(values: np.ndarray) -> tuple[float, int]:
    return _core.rounded_sum(_core.sum_parts(values, None, False))


@given(scores(), st.randoms(use_true_random=False))
def test_the_sum_does_not_depend_on_the_order(values: np.ndarray, random) -> None:
    finite = values[np.isfinite(values)]
    cancelling = np.concatenate([finite, -finite, finite[:1]])
    total, count = exact_sum(cancelling)
    assert count == len(cancelling)
    assert total == math.fsum(cancelling.tolist())
    order = random.sample(range(len(cancelling)), len(cancelling))
    assert exact_sum(cancelling[order]) == (total, count)


@pytest.mark.parametrize("kind", KINDS)
def test_many_values(kind: str) -> None:
    values = large(kind, 100_003)
    for where in (None, values > 0):
        same(
            ops.exact_mean(values, where, finite_only=True),
            reference.exact_mean(values, where, finite_only=True),
        )
        assert (
            ops.min_max(values, where, finite_only=True)
            == reference.min_max(values, where, finite_only=True)
            or not (values > 0).any()
        )


def test_rounding_is_to_nearest_and_ties_to_even() -> None:
    for parts in ([2.0**60, 2.0**7], [2.0**60, 2.0**8, 2.0**7], [2.0**60, 2.0**7, 2.0**-100]):
        for sign in (1, -1):
            values = np.array([sign * part for part in parts], np.float32)
            assert exact_sum(values)[0] == math.fsum(values.tolist())


def test_no_rows() -> None:
    nothing = np.zeros(0, np.float32)
    assert math.isnan(ops.exact_mean(nothing))
    assert all(map(math.isnan, ops.min_max(nothing)))
    assert math.isnan(ops.exact_mean(np.ones(2, np.float32), np.zeros(2, bool)))


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="values must have dtype float32, got float64: convert"):
        ops.exact_mean(np.zeros(2))
    with pytest.raises(ValueError, match="where must have 2 rows, as many as values, got 3"):
        ops.min_max(np.zeros(2, np.float32), np.ones(3, bool))
