"""The order of scores: numpy's, with equal zeros and NaN highest."""

import numpy as np
from hypothesis import given
from score_cases import scores

from dynsample import ops
from dynsample.reference import select as reference


def test_keys_of_known_values() -> None:
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1.0, -1.0], np.float32)
    assert [hex(key) for key in reference.order_key(values)] == [
        "0x80000000", "0x80000000", "0xff800000", "0x800000", "0xffc00000", "0xffc00000",
        "0xbf800000", "0x40800000",
    ]  # fmt: skip


@given(scores())
def test_keys_order_as_the_values_do(values: np.ndarray) -> None:
    keys = reference.order_key(values)
    numbers = ~np.isnan(values)
    order = np.argsort(keys, kind="stable")
    np.testing.assert_array_equal(order, np.argsort(values, kind="stable"))
    assert np.all(keys[numbers] <= 0xFF800000)
    assert np.all(keys[~numbers] == 0xFFC00000)


@given(scores(max_size=40))
def test_the_core_orders_by_these_keys(values: np.ndarray) -> None:
    hidden = [ops.hide_lowest(values, k) for k in range(len(values) + 1)]
    rank = len(values) - np.sum(hidden, axis=0)
    order = np.argsort(reference.order_key(values), kind="stable")
    np.testing.assert_array_equal(rank[order], np.arange(len(values)))
