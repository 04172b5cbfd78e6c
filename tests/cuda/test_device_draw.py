"""Draws with and without replacement: the device has the integers and weights of the CPU."""

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
from dynsample.kernels.cuda import Device, draw
from dynsample.kernels.whole import stand_in

SAME_DEVICE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
KEY = {"seed": 2**63 + 5, "epoch": 7}
METHODS = ["systematic", "multinomial"]
MOST_DRAWS = 2**32 - 2

PROBABILITY = st.one_of(
    st.just(0.0),
    st.floats(0, 1, width=32),
    st.floats(0, 3.4028234663852886e38, width=32),
    st.sampled_from([1e-45, 1e-38, 1.1754943508222875e-38, 1.0, 1e38, math.inf, math.nan, -0.0]),
)
ROWS = st.lists(PROBABILITY, max_size=60).map(lambda rows: np.array(rows, np.float32))
KEYS = st.fixed_dictionaries(
    {"seed": st.integers(0, 2**64 - 1), "epoch": st.integers(0, 2**32 - 1)}
)


def long_inputs() -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(5)
    smooth = random.exponential(size=30_011).astype(np.float32)
    odd = smooth.copy()
    odd[random.integers(0, len(odd), 999)] = np.array([np.nan, np.inf, 0] * 333, np.float32)
    return {
        "smooth": smooth,
        "odd": odd,
        "tied": random.integers(0, 3, 10_000).astype(np.float32),
        "any bits": (random.integers(0, 2**31, 10_001, dtype=np.uint32)).view(np.float32),
        "subnormal": random.integers(0, 2**23, 9_999, dtype=np.uint32).view(np.float32),
        "one of many": np.eye(1, 5000, 4321, dtype=np.float32)[0],
        "one": np.array([1e-45], np.float32),
        "zeros": np.zeros(1000, np.float32),
        "nothing is finite": np.full(77, np.nan, np.float32),
        "empty": np.empty(0, np.float32),
    }


INPUTS = long_inputs()
every_input = pytest.mark.parametrize("name", INPUTS)


def same(found: Any, expected: NDArray[Any]) -> None:
    """Compare by bits."""
    bits = found if isinstance(found, np.ndarray) else found.cpu().numpy()
    assert bits.dtype.itemsize == expected.dtype.itemsize
    np.testing.assert_array_equal(bits.view(np.uint8), expected.view(np.uint8))


def race_order(keys: NDArray[np.uint32], k: int) -> NDArray[np.bool_]:
    mask = np.zeros(len(keys), np.bool_)
    mask[np.argsort(keys, kind="stable")[:k]] = True
    return mask


@every_input
def test_a_survey_and_sums_are_those_of_the_cpu(device: Device, name: str) -> None:
    p = INPUTS[name]
    assert draw.survey(device.put(p)) == _core.survey(p)
    for substitute in (1.0, 3e38, 1e-45):
        same(draw.exponent_sums(device.put(p), substitute), _core.exponent_sums(p, substitute))


def test_sums_by_exponent_do_not_overflow_on_the_way(device: Device) -> None:
    p = np.full(5 * 2**20 + 20_001, np.nextafter(np.float32(2), np.float32(0)))
    expected = np.zeros(256, np.uint64)
    expected[127] = len(p) * (2**24 - 1)
    same(draw.exponent_sums(device.put(p), 1.0), expected)


@every_input
@pytest.mark.parametrize("method", METHODS)
def test_counts_are_those_of_the_cpu(device: Device, name: str, method: str) -> None:
    p = INPUTS[name]
    for k in (0, 1, 1000, 70_001):
        if k and not (p != 0).any():
            with pytest.raises(ValueError, match=f"positive entry to draw {k} from"):
                ops_on(device).draw_counts(device.put(p), k, **KEY, method=method)
            continue
        found = ops_on(device).draw_counts(device.put(p), k, **KEY, method=method)
        same(found, ops.draw_counts(p, k, **KEY, method=method))


@every_input
def test_the_most_draws_and_their_weights_are_those_of_the_cpu(device: Device, name: str) -> None:
    p = INPUTS[name]
    for k in (0, 5, MOST_DRAWS):
        if k and not (p != 0).any():
            continue
        same(ops_on(device).draw_counts(device.put(p), k, **KEY), ops.draw_counts(p, k, **KEY))
        same(
            ops_on(device).inverse_probabilities(device.put(p), k), ops.inverse_probabilities(p, k)
        )


@every_input
def test_the_lowest_keys_are_the_rows_that_the_cpu_draws(device: Device, name: str) -> None:
    p = INPUTS[name]
    largest, positive = draw.survey(device.put(p))
    keys = draw.race_keys(device.put(p), 0, stand_in(largest), **KEY).cpu().numpy().view(np.uint32)
    assert np.array_equal(keys == 2**32 - 1, p == 0)
    for k in (0, positive // 3, positive):
        assert np.array_equal(race_order(keys, k), ops.draw_mask(p, k, **KEY))


@pytest.mark.parametrize("first", [0, 4, 10_000])
def test_keys_are_those_of_the_cpu(device: Device, first: int) -> None:
    p = INPUTS["any bits"]
    keys = draw.race_keys(device.put(p), first, 2.5, **KEY).cpu().numpy().view(np.uint32)
    expected = _core.Candidates(p, first, 2.5, **KEY)
    for prefix in (None, int(np.bincount(keys >> 16).argmax())):
        here = keys >> 16 if prefix is None else keys[keys >> 16 == prefix] & 0xFFFF
        counts = np.bincount(here, minlength=2**16)
        if prefix is None:  # keys of probability 0 are not among the candidates
            counts[-1] -= np.count_nonzero(keys == 2**32 - 1)
        assert np.array_equal(counts, expected.histogram(prefix))
    for key in np.sort(keys)[:: len(keys) // 10].tolist():
        assert expected.tally(key) == (int((keys < key).sum()), int((keys == key).sum()))


@SAME_DEVICE
@given(p=ROWS, k=st.integers(0, 200), key=KEYS, method=st.sampled_from(METHODS))
def test_any_draw_is_that_of_the_cpu(
    device: Device, p: NDArray[np.float32], k: int, key: dict[str, int], method: str
) -> None:
    there = device.put(p)
    largest, positive = draw.survey(there)
    if k and not positive:
        return
    same(
        ops_on(device).draw_counts(there, k, **key, method=method),
        ops.draw_counts(p, k, **key, method=method),
    )
    same(ops_on(device).inverse_probabilities(there, k), ops.inverse_probabilities(p, k))
    keys = draw.race_keys(there, 0, stand_in(largest), **key).cpu().numpy().view(np.uint32)
    most = min(k, positive)
    assert np.array_equal(race_order(keys, most), ops.draw_mask(p, most, **key))


@SAME_DEVICE
@given(p=ROWS, k=st.integers(1, 3000), cut=st.integers(0, 15), key=KEYS)
def test_parts_add_up_to_the_whole(
    device: Device, p: NDArray[np.float32], k: int, cut: int, key: dict[str, int]
) -> None:
    pieces = [device.put(part) for part in (p[: 4 * cut], p[4 * cut :])]
    surveys = [draw.survey(part) for part in pieces]
    if not sum(positive for _, positive in surveys):
        return
    substitute = stand_in(draw.survey(device.put(p))[0])
    sums = sum(draw.exponent_sums(part, substitute) for part in pieces)
    parts = [draw.RatesPart(part, sums, substitute, k) for part in pieces]
    before, total = parts[0].total, parts[0].total + parts[1].total
    assert total == _core.RatesPart(p, sums, substitute, k).total

    def joined(*tensors: Any) -> NDArray[Any]:
        return np.concatenate([tensor.cpu().numpy() for tensor in tensors])

    found = joined(
        parts[0].systematic(0, total, k, **key), parts[1].systematic(before, total, k, **key)
    )
    same(found, ops.draw_counts(p, k, **key))
    same(joined(*(part.inverse(total, len(p)) for part in parts)), ops.inverse_probabilities(p, k))

    points = draw.multinomial_points(device, total, **key, first=0, count=k).cpu().numpy()
    points = np.sort(points.view(np.uint64))
    here, there = np.split(points, [np.searchsorted(points, np.uint64(before))])
    found = joined(parts[0].count(0, here), parts[1].count(before, there))
    same(found, ops.draw_counts(p, k, **key, method="multinomial"))

    keys = [
        draw.race_keys(part, first, substitute, **key)
        for part, first in zip(pieces, (0, 4 * cut), strict=True)
    ]
    same(joined(*keys), draw.race_keys(device.put(p), 0, substitute, **key).cpu().numpy())


@pytest.mark.parametrize(("first", "count"), [(0, 0), (0, 1), (0, 1001), (6, 1000), (2**32 - 2, 1)])
def test_points_are_those_of_the_cpu(device: Device, first: int, count: int) -> None:
    for total in (1, 2**32 + 1, 2**64 - 1):
        found = draw.multinomial_points(device, total, **KEY, first=first, count=count)
        same(found, _core.multinomial_points(total, KEY["seed"], KEY["epoch"], first, count))


def test_points_of_another_part_are_refused(device: Device) -> None:
    p = np.array([1, 0, 2], np.float32)
    rates = draw.RatesPart(device.put(p), _core.exponent_sums(p, 2), 2, 10)
    ends = np.array([100, 100 + rates.total - 1], np.uint64)
    assert rates.count(100, ends).tolist() == [1, 0, 1]
    for stray in (99, 100 + rates.total):
        points = np.array([100, stray], np.uint64)
        with pytest.raises(ValueError, match="a point is in another part"):
            rates.count(100, points)
    none = draw.RatesPart(device.put(p[:0]), _core.exponent_sums(p, 2), 2, 10)
    assert none.total == 0
    with pytest.raises(ValueError, match="a point is in another part"):
        none.count(0, np.zeros(1, np.uint64))


@pytest.mark.parametrize("value", [-1.0, -1e-45, -math.inf, -123456.789])
def test_the_first_negative_probability_is_named_as_on_the_cpu(
    device: Device, value: float
) -> None:
    p = INPUTS["odd"].copy()
    p[[20_000, 777, 5000]] = value, np.float32(value), -3
    with pytest.raises(ValueError, match="must not be negative") as expected:
        ops.draw_counts(p, 1, **KEY)
    with pytest.raises(ValueError, match="must not be negative") as found:
        ops_on(device).draw_counts(device.put(p), 1, **KEY)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda o, p: o.draw_counts(p, -1, **KEY), ValueError, r"k must be in \[0,"),
        (lambda o, p: o.draw_counts(p, 2**32, **KEY), ValueError, "k must be in"),
        (lambda o, p: o.draw_counts(p, 1, seed=-1, epoch=0), ValueError, "seed must be in"),
        (lambda o, p: o.draw_counts(p, 1, **KEY, method="alias"), ValueError, "got 'alias'"),
        (lambda o, p: o.draw_counts(p * 1j, 1, **KEY), TypeError, "real numbers, got dtype compl"),
        (lambda o, p: o.draw_counts(p[None], 1, **KEY), ValueError, "one dimension"),
        (lambda o, p: draw.survey(p.tolist()), TypeError, "DLPack array, got list"),
        (
            lambda o, p: draw.race_keys(p, 2, 1.0, **KEY),
            ValueError,
            "first must be a multiple of 4",
        ),
    ],
)
def test_bad_arguments_are_refused(device: Device, call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call(ops_on(device), device.put(np.ones(10, np.float32)))


def test_a_strided_column_is_read_as_it_is(device: Device) -> None:
    p = INPUTS["smooth"]
    found = ops_on(device).draw_counts(device.put(p)[::3], 1000, **KEY)
    same(found, ops.draw_counts(p[::3], 1000, **KEY))
