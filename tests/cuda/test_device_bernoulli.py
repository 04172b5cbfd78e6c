"""Coins and powers: the device has the bits of the CPU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from device_ops import ops_on
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dynsample import _core, ops
from dynsample.kernels.cuda import Device, coins

SAME_DEVICE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
KEY = {"seed": 2**63 + 5, "epoch": 7}
VALUES = st.lists(
    st.floats(-100, 100, width=32) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.0]),
    max_size=80,
).map(lambda rows: np.array(rows, np.float32))
NOT_NEGATIVE = st.lists(
    st.floats(0, width=32) | st.sampled_from([1e-45, 1e-38, math.nan, -0.0, 1.0]), max_size=40
).map(lambda rows: np.array(rows, np.float32))


def any_bits(size: int) -> NDArray[np.float32]:
    bits = np.random.default_rng(size).integers(0, 2**32, size, dtype=np.uint32)
    return bits.view(np.float32)


def same(found: Any, expected: NDArray[Any]) -> None:
    """Compare by bits."""
    np.testing.assert_array_equal(found.cpu().numpy().view(np.uint8), expected.view(np.uint8))


def extremes(values: NDArray[np.float32], where: NDArray[np.bool_] | None) -> tuple[float, float]:
    return ops.min_max(values, where, finite_only=True)


@SAME_DEVICE
@given(values=VALUES, beta=st.floats(0, 8), part=st.booleans(), seed=st.integers(0, 2**64 - 1))
def test_any_coins_are_those_of_the_cpu(
    device: Device, values: NDArray[np.float32], beta: float, part: bool, seed: int
) -> None:
    where = np.arange(len(values)) % 3 > 0 if part else None
    found = ops_on(device).bernoulli_cdf(
        device.put(values),
        beta,
        seed=seed,
        epoch=3,
        where=None if where is None else device.put(where),
    )
    same(found, ops.bernoulli_cdf(values, beta, seed=seed, epoch=3, where=where))


@pytest.mark.parametrize("kind", ["smooth", "any bits", "levels"])
def test_parts_of_coins_add_up_to_the_whole(device: Device, kind: str) -> None:
    random = np.random.default_rng(1)
    values = {
        "smooth": random.exponential(size=30_011).astype(np.float32),
        "any bits": any_bits(30_011),
        "levels": random.integers(0, 4, 9_999).astype(np.float32),
    }[kind]
    where = random.random(len(values)) < 0.8
    low, high = extremes(values, where)
    cuts = [slice(0, 5000), slice(5000, len(values))]
    pieces = [(device.put(values[cut]), device.put(where[cut])) for cut in cuts]
    counts = sum(coins.cdf_counts(*piece, low, high) for piece in pieces)
    assert np.array_equal(counts, _core.cdf_counts(values, where, low, high))
    kept = [
        coins.cdf_keep(*piece, low, high, counts, 0.43, **KEY, first=cut.start)
        for piece, cut in zip(pieces, cuts, strict=True)
    ]
    found = np.concatenate([part.cpu().numpy() for part in kept])
    assert np.array_equal(found, ops.bernoulli_cdf(values, 0.43, **KEY, where=where))


@pytest.mark.parametrize("exponent", [0.0, 1.0, 0.3, -2.5, 7.0, 300.0])
def test_powers_are_those_of_the_cpu(device: Device, exponent: float) -> None:
    values = (any_bits(20_000).view(np.uint32) & 0x7FFFFFFF).view(np.float32)
    same(coins.power(device.put(values), exponent), ops.power(values, exponent))


@SAME_DEVICE
@given(values=NOT_NEGATIVE, exponent=st.floats(-20, 20))
def test_any_power_is_that_of_the_cpu(
    device: Device, values: NDArray[np.float32], exponent: float
) -> None:
    same(coins.power(device.put(values), exponent), ops.power(values, exponent))


def test_the_first_negative_value_is_named_as_on_the_cpu(device: Device) -> None:
    values = np.ones(5000, np.float32)
    values[[4000, 1234, 2000]] = -1, -1.5e-40, -math.inf
    with pytest.raises(ValueError, match="must not be negative") as expected:
        ops.power(values, 2)
    with pytest.raises(ValueError, match="must not be negative") as found:
        coins.power(device.put(values), 2)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o, v: o.bernoulli_cdf(v, -1, **KEY), "beta must be finite"),
        (
            lambda o, v: o.bernoulli_cdf(v, 1, **KEY, where=v[:3] > 0),
            "where must have 10 rows, as many as values, got 3",
        ),
        (lambda o, v: coins.power(v, math.nan), "exponent must be finite, got nan"),
        (
            lambda o, v: coins.cdf_keep(v, None, 0, 1, np.ones(1000, np.uint64), 1, 0, 0, 2),
            "first must be a multiple of 4",
        ),
    ],
)
def test_bad_arguments_are_refused(device: Device, call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(ops_on(device), device.put(np.ones(10, np.float32)))
