"""Reductions within groups, exponentials, pass rates: the device has the bits of the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynsample import _core
from dynsample.groups import Group, simulate
from dynsample.kernels import HOST, PassRateCurve
from dynsample.kernels.cuda import Device, coins
from dynsample.kernels.cuda.backend import OnDevice
from dynsample.plan.selection import EpochRandom
from dynsample.table.columns import Last
from dynsample.table.table import ScoreTable

ODD = np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 1e-45, 3.4e38, -1e-40])
RANDOM = EpochRandom(2**63 + 5, 7)
CURVES = [
    PassRateCurve(False, 0.5, 0.2, 0.0, np.inf),
    PassRateCurve(False, 0.5, 0.2, 0.01, 0.75),
    PassRateCurve(True, 0.3, 0.1, 1e-6, 1.0),
]


class Case:
    """Values, which of them are known, a mask, and groups."""

    def __init__(self, n: int, num_groups: int, kind: str, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.n, self.labels = n, random.integers(0, num_groups, n)
        self.labels[: min(n, 1)] = num_groups - 1
        self.values = random.standard_normal(n).astype(np.float32)
        if kind == "tied":
            self.values = np.round(self.values)
        if kind == "odd":
            places = random.random(n) < 0.5
            self.values[places] = random.choice(ODD, np.count_nonzero(places))
        self.known, self.mask = random.random((2, n)) < 0.7
        self.ks = random.integers(0, 2 + n // num_groups, num_groups if n else 0)


def results(case: Case, device: Device | None, group: Group | None) -> list[np.ndarray]:
    arrays: Any = HOST if device is None else OnDevice(device)
    put: Callable[[np.ndarray], Any] = arrays.take
    table = ScoreTable(case.n, {"x": Last()}, None, arrays, group, case.labels)
    here = slice(*table.bounds)
    table.seen = put(case.known[here].copy())
    values, mask = put(case.values[here].copy()), put(case.mask[here].copy())
    positive = put(np.abs(case.values[here]) + np.float32(0.5))
    by = table.by_group
    masks = [
        by.hide_lowest(values, case.ks),
        by.hide_lowest(values, case.ks, mask),
        by.draw(positive, np.minimum(case.ks, by.count()), RANDOM),
        by.spread(np.arange(by.num_groups) / 3),
        table.exp(values),
        table.ranks(values),
        *(table.informative(values, curve).probabilities for curve in CURVES),
    ]
    found = [np.asarray(arrays.numpy(each)) for each in masks]
    rows = [np.array(table.informative(values, curve)[1:]) for curve in CURVES]
    return [*found, *rows, by.count(), by.count(mask), by.mean(values)]


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("kind", ["plain", "tied", "odd"])
@pytest.mark.parametrize(("n", "num_groups"), [(0, 1), (1, 1), (700, 1), (700, 9), (5000, 300)])
def test_a_device_reduces_as_the_cpu(
    device: Device, n: int, num_groups: int, kind: str, ranks: int
) -> None:
    case = Case(n, num_groups, kind)
    expected = simulate(ranks, lambda group: results(case, None, group))
    found = simulate(ranks, lambda group: results(case, device, group))
    for one, other in zip(expected, found, strict=True):
        for there, here in zip(one, other, strict=True):
            assert there.dtype == here.dtype
            np.testing.assert_array_equal(here, there)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 2**32 - 1), max_size=40))
def test_any_exponential_is_that_of_the_cpu(device: Device, bits: list[int]) -> None:
    values = np.array(bits, np.uint32).view(np.float32)
    found = coins.exp(device.put(values)).cpu().numpy()
    assert found.tobytes() == _core.exp(values).tobytes()
