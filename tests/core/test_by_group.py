"""Reductions within groups are those of a loop over the groups, on any number of ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample import _core, groups
from dynsample.reference import draw as reference_draw
from dynsample.reference import groups as reference
from dynsample.reference.select import order_key

RANDOM = ds.EpochRandom(seed=3, epoch=4)
ODD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 1e-45, 3.4e38, -1e-40], np.float32)
sizes = st.sampled_from([1, 2, 3, 4])


class Case(NamedTuple):
    values: np.ndarray
    known: np.ndarray
    mask: np.ndarray
    labels: np.ndarray
    ks: np.ndarray

    @property
    def num_groups(self) -> int:
        return int(self.labels.max(initial=-1)) + 1


@st.composite
def cases(draw: st.DrawFn) -> Case:
    n = draw(st.sampled_from([0, 1, 5, 64, 65, 200, 513]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    values = random.standard_normal(n).astype(np.float32)
    kind = draw(st.sampled_from(["plain", "tied", "odd", "one value", "unknown"]))
    if kind == "tied":
        values = np.round(values)
    elif kind == "odd":
        places = random.random(n) < 0.5
        values[places] = random.choice(ODD, np.count_nonzero(places))
    elif kind == "one value":
        values[:] = 0.5
    known = random.random(n) < (0.5 if kind == "unknown" else 1.0)
    labels = random.integers(0, draw(st.sampled_from([1, 3, 40])), n)
    num_groups = int(labels.max(initial=-1)) + 1
    ks = random.integers(0, max(2 * n // max(num_groups, 1), 1) + 1, num_groups)
    return Case(values, known, random.random(n) < 0.6, labels, ks)


def table_of(case: Case, group: groups.Group | None = None) -> ds.ScoreTable:
    table = ds.ScoreTable(len(case.values), {"x": ds.Last()}, group=group, groups=case.labels)
    table.seen[:] = case.known[slice(*table.bounds)]
    return table


def over_ranks(
    case: Case, size: int, call: Callable[[ds.ScoreTable, slice], np.ndarray]
) -> list[np.ndarray]:
    def body(group: groups.Group) -> np.ndarray:
        table = table_of(case, group)
        return call(table, slice(*table.bounds))

    return groups.simulate(size, body)


@given(cases(), sizes)
def test_the_lowest_of_every_group(case: Case, size: int) -> None:
    for mask in (None, case.mask):
        where = case.known if mask is None else case.known & mask
        expected = reference.hide_lowest(case.values, where, case.labels, case.ks.tolist())

        def lowest(table: ds.ScoreTable, part: slice, mask: Any = mask) -> np.ndarray:
            eligible = None if mask is None else mask[part]
            return table.by_group.hide_lowest(case.values[part], case.ks, eligible)

        found = np.concatenate(over_ranks(case, size, lowest))
        assert found.dtype == np.bool_
        np.testing.assert_array_equal(found, expected)


@given(cases(), sizes)
def test_counts_and_means(case: Case, size: int) -> None:
    for mask in (None, case.mask):
        rows = case.labels if mask is None else case.labels[mask]
        expected = np.bincount(rows, minlength=case.num_groups)

        def count(table: ds.ScoreTable, part: slice, mask: Any = mask) -> np.ndarray:
            return table.by_group.count(None if mask is None else mask[part])

        for found in over_ranks(case, size, count):
            assert found.dtype == np.int64
            np.testing.assert_array_equal(found, expected)
    means = reference.mean(case.values, case.known, case.labels, case.num_groups)
    for found in over_ranks(case, size, lambda t, part: t.by_group.mean(case.values[part])):
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, means)


@given(cases(), sizes)
def test_draws_without_replacement(case: Case, size: int) -> None:
    given = np.where(case.known, np.abs(case.values), np.float32(np.nan))
    if not np.isfinite(given).any():
        given = np.ones(len(given), np.float32)
    positive = np.bincount(case.labels[~(given == 0)], minlength=case.num_groups)
    ks = np.minimum(case.ks, positive)
    expected = reference.draw(given, case.labels, ks, seed=RANDOM.seed, epoch=RANDOM.epoch)
    found = over_ranks(
        case, size, lambda t, part: t.by_group.draw(np.abs(case.values[part]), ks, RANDOM)
    )
    np.testing.assert_array_equal(np.concatenate(found), expected)


@given(cases(), sizes)
def test_numbers_are_spread_over_the_rows(case: Case, size: int) -> None:
    numbers = np.arange(case.num_groups) * 0.1
    found = np.concatenate(over_ranks(case, size, lambda t, part: t.by_group.spread(numbers)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, numbers.astype(np.float32)[case.labels])


@given(cases(), sizes)
def test_ranks_of_rows(case: Case, size: int) -> None:
    expected = reference.ranks(case.values, case.known)
    found = np.concatenate(over_ranks(case, size, lambda t, part: t.ranks(case.values[part])))
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_one_group_is_the_whole_table() -> None:
    random = np.random.default_rng(0)
    values = random.standard_normal(10_000).astype(np.float32).round(2)
    table = ds.ScoreTable(len(values), {}, groups=np.zeros(len(values), int))
    table.seen[:] = True
    of_one = table.by_group
    for k in (0, 1, 5000, 10_000, 20_000):
        hidden = table.hide_lowest(values, min(k, len(values)))
        np.testing.assert_array_equal(of_one.hide_lowest(values, [k]), hidden)
    drawn = table.draw(np.abs(values) + 1, 300, RANDOM, replacement=False).mask
    np.testing.assert_array_equal(of_one.draw(np.abs(values) + 1, [300], RANDOM), drawn)
    assert of_one.mean(values).tolist() == [table.exact_mean(values)]


@pytest.mark.parametrize("threads", [1, 4])
def test_many_rows_on_many_threads(threads: int) -> None:
    random = np.random.default_rng(1)
    n, num_groups = 1_500_000, 300
    labels = random.integers(0, num_groups, n).astype(np.int32)
    values = random.standard_normal(n).astype(np.float32).round(3)
    ks = random.integers(0, 8000, num_groups)
    before = _core.num_threads()
    _core.set_num_threads(threads)
    try:
        table = ds.ScoreTable(n, {}, groups=labels)
        table.seen[:] = True
        hidden, means = table.by_group.hide_lowest(values, ks), table.by_group.mean(values)
        counts = table.by_group.count(hidden)
    finally:
        _core.set_num_threads(before)
    order = np.lexsort((np.arange(n), order_key(values), labels))
    sizes = np.bincount(labels, minlength=num_groups)
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    expected = np.zeros(n, np.bool_)
    expected[order] = place < ks[labels[order]]
    np.testing.assert_array_equal(hidden, expected)
    np.testing.assert_array_equal(counts, np.minimum(ks, sizes))
    approximate = np.bincount(labels, values.astype(np.float64), num_groups) / sizes
    np.testing.assert_allclose(means, approximate, rtol=1e-9)


def test_a_group_that_has_too_few_to_draw_from() -> None:
    table = ds.ScoreTable(4, {}, groups=[0, 0, 2, 2])
    table.seen[:] = True
    with pytest.raises(ValueError, match=r"positive probabilities: group 2 has 1, got 2"):
        table.by_group.draw(np.float32([1, 1, 0, 1]), [2, 0, 2], RANDOM)
    with pytest.raises(ValueError, match="must not be negative"):
        table.by_group.draw(np.float32([1, 1, 0, -1]), [2, 0, 1], RANDOM)


@pytest.mark.parametrize(
    ("ks", "error", "message"),
    [
        ([1], ValueError, "ks must have 2 entries, one for each group, got 1"),
        ([1, -1], ValueError, "ks must not be negative, got -1"),
        ([1.0, 2.0], TypeError, "ks must be a one-dimensional integer array"),
    ],
)
def test_wrong_numbers_of_rows_are_refused(ks: Any, error: type[Exception], message: str) -> None:
    table = ds.ScoreTable(3, {}, groups=[0, 1, 1])
    with pytest.raises(error, match=message):
        table.by_group.hide_lowest(np.zeros(3, np.float32), ks)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([0, 1], ValueError, "groups must have 3 entries, got 2"),
        ([0, 1, -1], ValueError, r"groups must be in \[0, 1048576\), got -1"),
        ([0, 1, 1 << 20], ValueError, r"groups must be in \[0, 1048576\), got 1048576"),
        ([0.0, 1.0, 2.0], TypeError, "groups must be a one-dimensional integer array"),
        ([[0], [1], [2]], TypeError, "groups must be a one-dimensional integer array"),
    ],
)
def test_wrong_groups_are_refused(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ds.ScoreTable(3, {}, groups=given)
    with pytest.raises(error, match=message):
        ds.Sampler(3, groups=given)


def test_other_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="the table has no groups: give groups="):
        _ = ds.ScoreTable(3, {}).by_group
    by_group = ds.ScoreTable(3, {}, groups=[0, 1, 1]).by_group
    assert by_group.num_groups == 2
    with pytest.raises(ValueError, match="numbers must have 2 entries, one for each group, got 3"):
        by_group.spread([1, 2, 3])
    with pytest.raises(ValueError, match="mask must have 3 rows"):
        by_group.count(np.ones(2, np.bool_))
    with pytest.raises(ValueError, match=r"labels must be in \[0, 2\), got 2"):
        _core.counts_by_group(None, np.int32([0, 2]), 2)
    with pytest.raises(ValueError, match="labels must have 3 rows, one for each value, got 2"):
        _core.GroupCandidates(np.zeros(3, np.float32), None, np.int32([0, 1]), 2)
    candidates = _core.GroupCandidates(np.zeros(2, np.float32), None, np.int32([0, 1]), 2)
    with pytest.raises(ValueError, match="prefixes must have 2 entries, one for each group"):
        candidates.digits(1, np.zeros(3, np.uint32))


def test_a_sampler_has_the_groups_of_its_rows(tmp_path: Any) -> None:
    labels, subset = np.arange(20) % 4, np.array([1, 2, 5, 19])
    sampler = ds.Sampler(20, batch_size=2, groups=labels, subset=subset)
    assert sampler.table.by_group.count().tolist() == [0, 2, 1, 1]
    sampler.set_epoch(0)
    sampler.save(tmp_path)
    ds.Sampler(20, batch_size=2, groups=labels, subset=subset).load(tmp_path)
    for others in (None, labels[::-1]):
        with pytest.raises(ds.StateError, match="is of another run: groups: saved"):
            ds.Sampler(20, batch_size=2, groups=others, subset=subset).load(tmp_path)


def test_ranks_must_have_the_same_groups() -> None:
    def body(group: groups.Group) -> None:
        ds.Sampler(8, batch_size=2, groups=np.arange(8) % (2 + group.rank), group=group).set_epoch(
            0
        )

    with pytest.raises(groups.agreement.DisagreementError, match="groups: rank 0 has"):
        groups.simulate(2, body)


@given(st.lists(st.floats(-800, 800, width=32) | st.sampled_from([np.nan, np.inf, -np.inf, -0.0])))
def test_exponentials_have_the_bits_of_the_reference(values: list[float]) -> None:
    given = np.float32(values)
    with np.errstate(over="ignore"):
        expected = np.array([reference_draw.exp_of(float(x)) for x in given], np.float64)
        np.testing.assert_array_equal(_core.exp(given), expected.astype(np.float32))
