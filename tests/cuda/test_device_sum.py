"""Exact sums and extremes: the device gives what the CPU gives, to the bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import score_cases
from device_ops import ops_on
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynsample import _core, ops
from dynsample.kernels.cuda import Device, select

same_device = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(device: Device, values: np.ndarray, where: Any, finite_only: bool) -> None:
    tensor, mask = device.put(values), None if where is None else device.put(where)
    parts = select.sum_parts(tensor, mask, finite_only=finite_only)
    total, count = _core.rounded_sum(parts)
    expected, expected_count = _core.rounded_sum(_core.sum_parts(values, where, finite_only))
    assert count == expected_count
    np.testing.assert_array_equal(total, expected)
    np.testing.assert_array_equal(
        ops_on(device).exact_mean(tensor, mask, finite_only=finite_only),
        ops.exact_mean(values, where, finite_only=finite_only),
    )
    found = select.min_max(tensor, mask, finite_only=finite_only)
    np.testing.assert_array_equal(found, ops.min_max(values, where, finite_only=finite_only))
    assert all(math.copysign(1, x) == 1 for x in found if x == 0)


@same_device
@given(score_cases.scores(), st.data())
def test_few_values(device: Device, values: np.ndarray, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    where = data.draw(st.sampled_from([None, np.array(bits, bool)]))
    check(device, values, where, data.draw(st.booleans()))


@pytest.mark.parametrize("kind", score_cases.KINDS)
def test_many_values(device: Device, kind: str) -> None:
    values = score_cases.large(kind, 150_003)
    for where in (None, values > 0):
        check(device, values, where, True)
        check(device, values, where, False)


@pytest.mark.parametrize("n", [0, 1, 4095, 4096, 4097])
def test_sizes_at_the_edges(device: Device, n: int) -> None:
    check(device, score_cases.large("normal", n), None, False)


@pytest.mark.parametrize("extreme", [3.4028235e38, -3.4028235e38, 1e-45, 2.0**127, -(2.0**-126)])
def test_sums_of_extremes_do_not_overflow(device: Device, extreme: float) -> None:
    values = np.full(200_000, extreme, np.float32)
    check(device, values, None, False)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(device: Device, special: float) -> None:
    values = score_cases.large("normal", 9000)
    values[[3, 8999]] = special
    check(device, values, None, False)
    check(device, values, None, True)
    values[5000] = -special
    check(device, values, None, False)
    values[:] = special
    check(device, values, None, True)


def test_a_slice_that_is_not_aligned(device: Device) -> None:
    values = score_cases.large("any bits", 10_000)
    where = np.random.default_rng(1).random(9_999) < 0.5
    mask = device.put(where)
    found = select.sum_parts(device.put(values)[1:], mask, finite_only=True)
    expected = _core.sum_parts(values[1:], where, True)
    assert _core.rounded_sum(found) == _core.rounded_sum(expected)
    assert select.min_max(device.put(values)[1:], mask, finite_only=True) == ops.min_max(
        values[1:], where, finite_only=True
    )


def test_parts_of_ranks_add_up(device: Device) -> None:
    values = score_cases.large("any bits", 30_000)
    parts = [select.sum_parts(device.put(part), finite_only=True) for part in np.split(values, 3)]
    expected = _core.rounded_sum(_core.sum_parts(values, None, True))
    assert _core.rounded_sum(sum(parts[1:], parts[0])) == expected
