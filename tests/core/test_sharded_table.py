"""Reductions and draws over ranks give what they give on one table, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample import groups
from dynsample.plan.dealing import row_bounds
from dynsample.table.columns import Last

RANDOM = ds.EpochRandom(seed=3, epoch=4)
ODD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 1e-45, 3.4e38], np.float32)


@st.composite
def columns(draw):
    n = draw(st.sampled_from([0, 1, 63, 64, 65, 200, 513, 1000]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    values = random.standard_normal(n).astype(np.float32)
    kind = draw(st.sampled_from(["plain", "tied", "odd", "one value", "unseen"]))
    if kind == "tied":
        values = np.round(values)
    elif kind == "odd":
        places = random.random(n) < 0.3
        values[places] = random.choice(ODD, np.count_nonzero(places))
    elif kind == "one value":
        values[:] = 0.5
    seen = random.random(n) < (0.5 if kind == "unseen" else 1.0)
    return values, seen, random.random(n) < 0.4


def over_ranks(
    values: np.ndarray, seen: np.ndarray, size: int, call: Callable[[ds.ScoreTable, slice], Any]
) -> list[Any]:
    def body(group: groups.Group) -> Any:
        table = ds.ScoreTable(len(values), {"x": Last()}, group=group)
        table.seen[:] = seen[slice(*table.bounds)]
        return call(table, slice(*table.bounds))

    return groups.simulate(size, body)


def alone(values: np.ndarray, seen: np.ndarray, call: Callable[[ds.ScoreTable, slice], Any]) -> Any:
    table = ds.ScoreTable(len(values), {"x": Last()})
    table.seen[:] = seen
    return call(table, slice(None))


def check(case: Any, size: int, call: Callable[[ds.ScoreTable, slice], Any]) -> None:
    values, seen, _ = case
    wanted = alone(values, seen, call)
    found = over_ranks(values, seen, size, call)
    if isinstance(wanted, np.ndarray):
        found = [np.concatenate(found)]
        assert found[0].dtype == wanted.dtype
    for one in found:
        np.testing.assert_array_equal(one, wanted)


sizes = st.sampled_from([1, 2, 3, 8])


@given(columns(), sizes, st.floats(0, 1))
def test_hide_lowest(case, size, share):
    k = int(share * len(case[0]))
    check(case, size, lambda table, part: table.hide_lowest(case[0][part], k))
    check(case, size, lambda table, part: table.hide_lowest(case[0][part], k, case[2][part]))
    check(case, size, lambda table, part: table.hide_lowest(case[0][part], k, known=case[2][part]))


@given(columns(), sizes)
def test_counts_means_and_extremes(case, size):
    values, _, mask = case
    check(case, size, lambda table, part: table.count(mask[part]))
    check(case, size, lambda table, part: table.exact_mean(values[part]))
    check(case, size, lambda table, part: table.exact_mean(values[part], mask[part]))
    check(case, size, lambda table, part: table.min_max(values[part]))
    check(case, size, lambda table, part: table.min_max(values[part], mask[part]))


@given(columns(), sizes, st.floats(0, 1))
def test_samples_walks_and_coins(case, size, share):
    values, _, mask = case
    k = int(share * np.count_nonzero(mask))
    check(case, size, lambda table, part: table.sample(k, RANDOM, mask[part]))
    check(case, size, lambda table, part: table.sample(k, RANDOM))
    check(case, size, lambda table, part: table.walk(7, k, RANDOM))
    check(case, size, lambda table, part: table.cdf_bernoulli(values[part], 0.5, RANDOM))


@given(columns(), sizes, st.integers(0, 300), st.sampled_from(["systematic", "multinomial"]))
def test_draws_with_replacement(case, size, k, method):
    p = np.where(case[0] < 0, np.float32(0), case[0])
    k = k if len(p) and (p > 0).any() else 0

    def counts(table: ds.ScoreTable, part: slice) -> np.ndarray:
        draw = table.draw(p[part], k, RANDOM, replacement=True, method=method)
        return draw.counts

    def inverse(table: ds.ScoreTable, part: slice) -> np.ndarray:
        draw = table.draw(p[part], k, RANDOM, replacement=True, method=method)
        return draw.inverse_probabilities

    check(case, size, counts)
    check(case, size, inverse)


@given(columns(), st.integers(0, 300), st.sampled_from(["systematic", "multinomial"]))
def test_one_process_draws_what_the_operations_draw(case, k, method):
    p = np.where(case[0] < 0, np.float32(0), case[0])
    known = np.where(case[1], p, np.float32(np.nan))
    k = k if len(p) and (known != 0).any() else 0
    key = {"seed": RANDOM.seed, "epoch": RANDOM.epoch}

    def draw(table: ds.ScoreTable, part: slice) -> Any:
        return table.draw(p[part], k, RANDOM, replacement=True, method=method)

    found = alone(*case[:2], draw)
    np.testing.assert_array_equal(found.counts, ds.ops.draw_counts(known, k, **key, method=method))
    np.testing.assert_array_equal(
        found.inverse_probabilities, ds.ops.inverse_probabilities(known, k)
    )


@given(columns(), sizes, st.floats(0, 1))
def test_draws_without_replacement(case, size, share):
    p = np.abs(case[0])
    k = int(share * np.count_nonzero(p[case[1]] > 0)) if np.isfinite(p[case[1]]).any() else 0
    check(case, size, lambda table, part: table.draw(p[part], k, RANDOM, replacement=False).mask)


def test_a_negative_probability_ends_every_rank():
    p = np.ones(500, np.float32)
    p[450] = -1
    with pytest.raises(ValueError, match="probabilities must not be negative, got -1"):
        over_ranks(p, p < 2, 3, lambda t, part: t.draw(p[part], 3, RANDOM, replacement=True))


def test_more_draws_than_there_are_rows_to_draw():
    p = np.ones(500, np.float32)
    with pytest.raises(ValueError, match=r"number of positive probabilities, 500, got 501"):
        over_ranks(p, p > 0, 3, lambda t, part: t.draw(p[part], 501, RANDOM, replacement=False))


def test_observations_go_through_a_sampler():
    with pytest.raises(RuntimeError, match="takes observations through a Sampler only"):
        over_ranks(ODD, ODD > 0, 2, lambda t, part: t.observe(np.arange(1), x=np.ones(1)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 2000))
def test_rows_are_dealt_in_whole_blocks_about_equally(n, size):
    bounds = row_bounds(n, size)
    assert bounds[0] == 0
    assert bounds[-1] == n
    assert all(bound % 64 == 0 for bound in bounds[:-1])
    parts = np.diff(bounds)
    assert (parts >= 0).all()
    assert parts.max() <= n / size * 1.07 + 64
