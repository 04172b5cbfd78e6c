"""Selections: what the device marks is what the CPU marks, whatever the scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import score_cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynsample import _core, ops
from dynsample.kernels.cuda import Device, select

# The fixture is the same for all examples: it has no state.
same_device = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def put(device: Device, array: np.ndarray | None) -> Any:
    return None if array is None else device.put(array)


def check(
    device: Device, values: np.ndarray, k: int, where: Any = None, finite_only: bool = False
) -> None:
    found = select.hide_lowest(device.put(values), k, put(device, where), finite_only=finite_only)
    expected = ops.hide_lowest(values, k, where, finite_only=finite_only)
    np.testing.assert_array_equal(found.cpu().numpy(), expected)


@same_device
@given(score_cases.scores(), st.data())
def test_few_rows(device: Device, values: np.ndarray, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, len(values)))
    bits = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    where = data.draw(st.sampled_from([None, np.array(bits, bool)]))
    check(device, values, k, where, data.draw(st.booleans()))


@pytest.mark.parametrize("kind", score_cases.KINDS)
@pytest.mark.parametrize("n", [16_385, 150_003])
def test_many_rows(device: Device, kind: str, n: int) -> None:
    values = score_cases.large(kind, n)
    for share in (1e-4, 0.3, 0.5, 0.999, 1.0):
        check(device, values, int(share * n))


@pytest.mark.parametrize("kind", score_cases.KINDS)
def test_many_rows_of_which_some_are_eligible(device: Device, kind: str) -> None:
    values = score_cases.large(kind, 70_001)
    where = np.random.default_rng(1).random(len(values)) < 0.4
    for k in (10, 9_000, 40_000):
        check(device, values, k, where, finite_only=True)
        check(device, values, k, where)
        check(device, values, k, None, finite_only=True)
    check(device, values, 100, np.zeros(len(values), bool))


def test_a_million_rows(device: Device) -> None:
    check(device, score_cases.large("normal", 1_000_003), 300_000)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4095, 4096, 4097, 16_384])
def test_sizes_at_the_edges(device: Device, n: int) -> None:
    values = score_cases.large("5 % ties", n)
    for k in sorted({0, min(1, n), n // 2, n}):
        check(device, values, k)


@pytest.mark.parametrize("n", [500, 40_000])
@pytest.mark.parametrize("offset", [1, 2, 3, 4])
def test_slices_that_are_not_aligned(device: Device, n: int, offset: int) -> None:
    values, where = score_cases.large("normal", n), np.random.default_rng(2).random(n) < 0.7
    tensor, mask = device.put(values)[offset:], device.put(where)
    for values_at, where_at in ((offset, 0), (0, offset), (offset, offset)):
        size = n - offset
        tensor = device.put(values)[values_at : values_at + size]
        mask = device.put(where)[where_at : where_at + size]
        expected = ops.hide_lowest(
            values[values_at : values_at + size], size // 3, where[where_at : where_at + size]
        )
        found = select.hide_lowest(tensor, size // 3, mask)
        np.testing.assert_array_equal(found.cpu().numpy(), expected)


def sampled_rows(device: Device, n: int) -> np.ndarray:
    """The rows that the kernels sample; only the speed depends on them."""
    return np.array(device.call(device.kernels.sampled_rows, n), np.int64)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_sample_that_misleads_changes_nothing(device: Device, share: float, sign: int) -> None:
    """The sampled rows are the extreme ones: the bracket misses."""
    n = 120_000
    values, rows = score_cases.large("normal", n), sampled_rows(device, n)
    assert len(np.unique(rows)) == len(rows) == 1 << 14
    values[rows] = sign * (100 + np.arange(len(rows), dtype=np.float32))
    check(device, values, int(share * n))
    where = np.random.default_rng(4).random(n) < 0.8
    check(device, values, int(share * n), where, finite_only=True)


@pytest.mark.parametrize("tied", [0.05, 0.2, 0.6])
def test_more_candidates_than_there_is_room_for(device: Device, tied: float) -> None:
    """Ties in rows that are not sampled fill the bracket, which holds the threshold as well."""
    n = 200_000
    values = score_cases.large("normal", n)
    others = np.setdiff1d(np.arange(n), sampled_rows(device, n))
    chosen = np.random.default_rng(5).choice(others, int(tied * len(others)), replace=False)
    values[chosen] = np.float32(np.quantile(values, 0.3))
    for k in (int(0.29 * n), int(0.3 * n), int(0.31 * n), int(0.5 * n)):
        check(device, values, k)


def test_scores_that_are_close_to_each_other(device: Device) -> None:
    close = (0x3F800000 + np.random.default_rng(6).integers(0, 40, 100_000)).astype(np.uint32)
    check(device, close.view(np.float32), 31_234)


@pytest.mark.parametrize("n", [0, 1, 1000, 50_000])
@pytest.mark.parametrize("bits", [3, 32])
def test_ready_keys(device: Device, n: int, bits: int) -> None:
    keys = np.random.default_rng(n).integers(0, 2**bits, n, dtype=np.uint32)
    keys[np.random.default_rng(7).random(n) < 0.1] = 0xFFFFFFFF
    order = np.argsort(keys, kind="stable")
    order = order[keys[order] != 0xFFFFFFFF]
    for k in sorted({0, n // 3, n - n // 20, n}):
        expected = np.zeros(n, bool)
        expected[order[:k]] = True
        np.testing.assert_array_equal(
            select.lowest_keys(device.put(keys), k).cpu().numpy(), expected
        )


def both(device: Device, values: np.ndarray, where: Any, finite_only: bool) -> tuple[Any, Any]:
    ours = select.Candidates(device.put(values), put(device, where), finite_only)
    return ours, _core.Candidates(values, where, finite_only)


def check_parts(ours: Any, theirs: Any, k: int) -> None:
    """Go through the steps of a selection over ranks."""
    assert ours.count() == theirs.count()
    upper = theirs.histogram()
    np.testing.assert_array_equal(ours.histogram(), upper)
    k = min(k, theirs.count())
    if not k:
        return
    high = int(np.searchsorted(np.cumsum(upper, dtype=np.uint64), np.uint64(k)))
    before = int(upper[:high].sum())
    lower = theirs.histogram(high)
    np.testing.assert_array_equal(ours.histogram(high), lower)
    low = int(np.searchsorted(np.cumsum(lower, dtype=np.uint64), np.uint64(k - before)))
    below, equal = theirs.tally(high << 16 | low)
    assert ours.tally(high << 16 | low) == (below, equal)
    for ties in sorted({0, k - below, equal // 2, equal}):
        np.testing.assert_array_equal(ours.mark(ties).cpu().numpy(), theirs.mark(ties))


@same_device
@given(score_cases.scores(), st.data())
def test_parts_of_few_rows(device: Device, values: np.ndarray, data: st.DataObject) -> None:
    where = data.draw(st.sampled_from([None, np.arange(len(values)) % 3 > 0]))
    finite_only = data.draw(st.booleans())
    check_parts(*both(device, values, where, finite_only), data.draw(st.integers(0, 300)))


@pytest.mark.parametrize("kind", score_cases.KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_parts_of_many_rows(device: Device, kind: str, masked: bool) -> None:
    values = score_cases.large(kind, 100_001)
    where = np.random.default_rng(8).random(len(values)) < 0.6 if masked else None
    check_parts(*both(device, values, where, masked), 20_000)


def test_parts_of_ready_keys(device: Device) -> None:
    keys = np.random.default_rng(9).integers(0, 50, 60_000).astype(np.uint32)
    keys[keys == 7] = 0xFFFFFFFF
    ours = select.Candidates.of_keys(device.put(keys))
    assert ours.count() == int((keys != 0xFFFFFFFF).sum())
    np.testing.assert_array_equal(ours.histogram(), np.bincount(keys >> 16, minlength=1 << 16))
    lower = np.bincount(keys[keys < 50], minlength=1 << 16)
    np.testing.assert_array_equal(ours.histogram(0), lower)
    assert ours.tally(20) == (int((keys < 20).sum()), int((keys == 20).sum()))
    expected = keys < 20
    expected[np.flatnonzero(keys == 20)[:333]] = True
    np.testing.assert_array_equal(ours.mark(333).cpu().numpy(), expected)


@pytest.mark.parametrize("key", [0, 0x007FFFFF, 0x00800000, 0xFF800000, 0xFFFFFFFF])
@pytest.mark.parametrize("finite_only", [False, True])
def test_parts_of_keys_that_no_candidate_has(device: Device, key: int, finite_only: bool) -> None:
    values = score_cases.SPECIAL[np.random.default_rng(10).integers(2, 11, 30_000)]
    ours, theirs = both(device, values, np.arange(30_000) % 5 > 0, finite_only)
    assert ours.tally(key) == theirs.tally(key)
    np.testing.assert_array_equal(ours.mark(0).cpu().numpy(), theirs.mark(0))


def test_bad_input(device: Device) -> None:
    values = device.put(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"k must be in \[0, 3\], got 4"):
        select.hide_lowest(values, 4)
    with pytest.raises(TypeError, match="k must be an integer, got float"):
        select.hide_lowest(values, 1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="scores must have dtype float32, got float64"):
        select.hide_lowest(values.double(), 1)
    with pytest.raises(ValueError, match=r"one dimension, got shape \(3, 1\)"):
        select.hide_lowest(values[:, None], 1)
    with pytest.raises(ValueError, match="eligible must have 3 rows, as many as scores, got 2"):
        select.hide_lowest(values, 1, device.put(np.ones(2, bool)))
    with pytest.raises(TypeError, match=r"keys must have dtype int32"):
        select.lowest_keys(values, 1)
