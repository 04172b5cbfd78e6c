"""RCAP's budgets of classes."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from group_cases import Grouped, grouped
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select

import dynsample as ds
from dynsample.policies.class_budget import shares
from dynsample.reference import group_policies

COLUMNS = ds.ClassBudget().columns
SIZES = st.lists(st.integers(0, 20), min_size=1, max_size=6)


def table_of(losses: list[float], labels: list[int]) -> ds.ScoreTable:
    table = ds.ScoreTable(len(losses), COLUMNS, groups=labels)
    table.observe(np.arange(len(losses)), loss=np.float32(losses))
    return table


@given(
    grouped(COLUMNS),
    st.sampled_from([0.0, 0.3, 0.7, 0.99]),
    st.sampled_from([1.0, 0.05, 3.0, 1e-3]),
    st.sampled_from([None, 2.0]),
    EPOCHS,
    SEEDS,
)
def test_it_is_its_oracle(
    case: Grouped, fraction: float, beta: float, most: float | None, epoch: int, seed: int
) -> None:
    policy = ds.ClassBudget(fraction, beta, most)
    selection = check(policy, case.table, epoch, seed, case.labels)
    if selection.hidden is not None:
        assert len(hidden_rows(selection)) == int(fraction * case.table.num_samples)


@given(st.data(), SIZES)
def test_shares_are_those_of_the_oracle(data: st.DataObject, sizes: list[int]) -> None:
    total = data.draw(st.integers(0, sum(sizes)))
    numbers = st.sampled_from([0.0, 1.0, 1.0, 0.5, 3.0]) | st.floats(0, 1e6)
    weights = data.draw(st.lists(numbers, min_size=len(sizes), max_size=len(sizes)))
    found = shares(total, weights, sizes)
    assert found == group_policies.shares(total, weights, sizes)
    assert sum(found) == total
    assert all(0 <= share <= size for share, size in zip(found, sizes, strict=True))


def test_shares_by_hand() -> None:
    assert shares(10, [1, 1], [100, 100]) == [5, 5]
    assert shares(10, [1, 3], [100, 4]) == [6, 4]  # 7.5 do not fit into 4
    assert shares(3, [1, 1], [2, 2]) == [2, 1]
    assert shares(5, [0, 0, 1], [6, 4, 1]) == [2, 2, 1]  # 2.4 and 1.6 of what class 2 leaves
    assert shares(0, [1], [3]) == [0]
    assert shares(0, [], []) == []


def test_budgets_go_by_the_root_of_loss_times_prior() -> None:
    losses, labels = [0.9] * 400 + [0.1] * 400 + [0.4] * 100, [0] * 400 + [1] * 400 + [2] * 100
    policy = ds.ClassBudget(fraction=0.8, clipping_threshold=10)
    table = table_of(losses, labels)
    weights = [math.sqrt(0.9 * 4), math.sqrt(0.1 * 4), math.sqrt(0.4)]
    kept = Counter(labels[row] for row in np.flatnonzero(~select(policy, table, 1).hidden))
    for label, weight in enumerate(weights):
        assert kept[label] == pytest.approx(180 * weight / sum(weights), abs=1)


def test_high_losses_of_a_class_are_drawn_more_often() -> None:
    table = table_of([0.0, 1.0, 2.0, 0.0, 1.0, 2.0], [0, 0, 0, 1, 1, 1])
    policy = ds.ClassBudget(fraction=0.67, beta=1, clipping_threshold=5)
    drawn = np.zeros(6)
    for seed in range(3000):
        drawn += ~select(policy, table, 1, seed).hidden
    shares_of_one = np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum()
    np.testing.assert_allclose(drawn.reshape(2, 3) / 3000, [shares_of_one] * 2, atol=0.04)


def test_losses_are_clipped_and_unknown_ones_come_first() -> None:
    table = table_of([50.0, 5.0, np.nan, np.inf, -3.0], [0] * 5)
    policy = ds.ClassBudget(clipping_threshold=5)
    np.testing.assert_array_equal(policy.losses(table), [5, 5, np.nan, np.inf, 0])
    cold = ds.ClassBudget(fraction=0.3, beta=0.01, clipping_threshold=5)
    assert all(hidden_rows(select(cold, table, 1, seed)) == [4] for seed in range(20))


def test_nothing_known_hides_nothing() -> None:
    for n in (0, 1, 5):
        table = ds.ScoreTable(n, COLUMNS, groups=[0] * n)
        assert select(ds.ClassBudget(), table, 3) == ds.Selection()
    alone = table_of([1.0], [0])
    assert select(ds.ClassBudget(fraction=0.9), alone, 1) == ds.Selection()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 1.0}, r"fraction must be in \[0, 1\), got 1.0"),
        ({"beta": 0.0}, r"beta must be in \(0, inf\), got 0.0"),
        ({"clipping_threshold": 0}, r"clipping_threshold must be in \(0, inf\), got 0"),
    ],
)
def test_bad_options_are_errors(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ds.ClassBudget(**options)


def test_a_sampler_without_groups_is_an_error() -> None:
    with pytest.raises(ValueError, match="the table has no groups"):
        ds.Sampler(10, ds.ClassBudget()).set_epoch(0)
