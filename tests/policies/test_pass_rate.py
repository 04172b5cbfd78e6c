"""Prompts by their pass rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_cases import SEEDS, assert_put_together, check, hidden_rows, select, table_of

import dynsample as ds
from dynsample.groups import Group, simulate
from dynsample.reference.policies import expect

COLUMNS = ds.PassRate().columns
REWARDS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.25, 0.5, 0.5, 1.0, np.nan, np.inf, -np.inf]),
    st.floats(0, 1, width=32),
)
POLICIES = st.builds(
    ds.PassRate,
    num_draws=st.none() | st.integers(0, 40),
    form=st.sampled_from(["variance", "gaussian"]),
    target=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    width=st.sampled_from([1e-3, 0.2, 10.0]),
    eps=st.sampled_from([0.0, 0.01, 1.0]),
    retire=st.sampled_from([None, 0.25, 0.5, 0.9, 1.0]),
    replacement=st.booleans(),
)


@st.composite
def rated(draw: st.DrawFn, rounds: int = 3) -> ds.ScoreTable:
    """Tables of prompts of which each was observed up to a few times."""
    n = draw(st.integers(0, 30))
    table = ds.ScoreTable(n, COLUMNS)
    for _ in range(rounds):
        rows = np.flatnonzero(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
        rewards = draw(st.lists(REWARDS, min_size=len(rows), max_size=len(rows)))
        table.observe(rows, reward=np.array(rewards, np.float32))
    return table


@given(rated(), POLICIES, st.integers(0, 9), SEEDS)
def test_it_is_its_oracle(table: ds.ScoreTable, policy: ds.PassRate, epoch: int, seed: int) -> None:
    if isinstance(said := selected(policy, table, seed, epoch), str):
        assert "nothing left to draw" in said
        with pytest.raises(ValueError, match="nothing left to draw"):
            expect(policy, table.state(), epoch, seed)
        return
    selection = check(policy, table, epoch, seed)
    asked = table.num_samples if policy.num_draws is None else policy.num_draws
    if selection.counts is not None:
        assert selection.counts.sum() == (asked if table.num_samples else 0)
    elif policy.eps and policy.retire is None:
        assert table.num_samples - len(hidden_rows(selection)) == min(asked, table.num_samples)


@settings(max_examples=25)
@given(rated(), POLICIES.filter(lambda policy: policy.eps), st.integers(2, 4), SEEDS)
def test_a_shared_table_is_drawn_from_as_a_whole_one(
    table: ds.ScoreTable, policy: ds.PassRate, ranks: int, seed: int
) -> None:
    def body(group: Group) -> ds.Selection | str:
        part = ds.ScoreTable(table.num_samples, COLUMNS, group=group)
        rows = slice(*part.bounds)
        part.load({column: array[rows] for column, array in table.state().items()})
        return selected(policy, part, seed)

    whole, parts = selected(policy, table, seed), simulate(ranks, body)
    if isinstance(whole, str):
        assert parts == [whole] * ranks
        return
    assert_put_together(parts, whole)


def selected(
    policy: ds.PassRate, table: ds.ScoreTable, seed: int, epoch: int = 3
) -> ds.Selection | str:
    """What is selected, or why not."""
    try:
        return select(policy, table, epoch, seed)
    except ValueError as error:
        return str(error)


def shares(policy: ds.PassRate, rates: list[float], draws: int = 100_000) -> list[float]:
    """Share of each prompt in a draw with replacement."""
    counts = select(policy, table_of(COLUMNS, reward=rates), 0).counts
    assert counts is not None
    return (counts / draws).tolist()


def test_probabilities_are_the_variance_of_a_pass() -> None:
    policy = ds.PassRate(100_000, eps=0.05, replacement=True)
    p = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    expected = p * (1 - p) + 0.05
    assert shares(policy, p.tolist()) == pytest.approx(expected / expected.sum(), abs=1e-4)


def test_or_a_gaussian_around_the_target() -> None:
    policy = ds.PassRate(100_000, "gaussian", 0.4, 0.1, eps=0.01, replacement=True)
    p = np.array([0.0, 0.3, 0.4, 0.5, 1.0])
    expected = np.exp(-((p - 0.4) ** 2) / (2 * 0.1**2)) + 0.01
    assert shares(policy, p.tolist()) == pytest.approx(expected / expected.sum(), abs=1e-4)


def test_an_unknown_prompt_is_drawn_as_the_most_informative_one() -> None:
    for form, best in (("variance", 0.5), ("gaussian", 0.3)):
        policy = ds.PassRate(100_000, form, 0.3, replacement=True)
        known, nan, same = shares(policy, [0.0, np.nan, best])
        assert nan == pytest.approx(same, abs=1e-4)
        assert nan > 2 * known
        nothing = ds.ScoreTable(4, COLUMNS)
        assert select(policy, nothing, 0).counts.tolist() == [25_000] * 4


def test_the_pass_rate_is_a_moving_average() -> None:
    table = ds.ScoreTable(1, ds.PassRate(decay=0.75).columns)
    for reward in (1.0, 0.0, 0.5):
        table.observe(np.array([0]), reward=np.float32([reward]))
    assert table["reward"].tolist() == [0.75 * 0.75 + 0.25 * 0.5]


def test_a_retired_prompt_is_not_drawn_any_more() -> None:
    table = table_of(COLUMNS, reward=[0.0, 0.8, 0.9, 1.0, 0.2, np.nan])
    for epoch in range(20):
        selection = select(ds.PassRate(4, retire=0.8), table, epoch)
        assert {1, 2, 3} <= {*hidden_rows(selection)}
        assert selection.stats == {"retired": 3}
        assert len(hidden_rows(selection)) == 3  # no more than the three others are there
        assert not selection.refresh
    table.set_column("reward", [0.0, 0.5, 0.9, 1.0, 0.2, 0.3])
    assert select(ds.PassRate(retire=0.8), table, 0).stats == {"retired": 2}


def test_float32_does_not_retire_what_is_below() -> None:
    rate = float(np.float32(0.9))  # below 0.9
    assert select(ds.PassRate(retire=0.9), table_of(COLUMNS, reward=[rate]), 0).stats == {
        "retired": 0
    }


@pytest.mark.parametrize("replacement", [False, True])
def test_all_retired_is_an_error(replacement: bool) -> None:
    policy = ds.PassRate(2, retire=0.5, replacement=replacement)
    message = "nothing left to draw: of 3 prompts 3 are retired"
    with pytest.raises(ValueError, match=message):
        select(policy, table_of(COLUMNS, reward=[1.0, 1.0, 0.5]), 0)
    assert not hidden_rows(select(policy, ds.ScoreTable(0, COLUMNS), 0))
    none = ds.PassRate(0, retire=0.5, replacement=replacement)
    select(none, table_of(COLUMNS, reward=[1.0]), 0)


@pytest.mark.parametrize("form", ["variance", "gaussian"])
@pytest.mark.parametrize("reward", [-1.0, 1.5, 1e30])
def test_rewards_that_are_no_pass_rates_are_an_error(reward: float, form: str) -> None:
    table = table_of(COLUMNS, reward=[0.5, reward, np.inf])
    with pytest.raises(ValueError, match=r"reward must be in \[0, 1\] for PassRate, got"):
        select(ds.PassRate(form=form), table, 0)


def test_a_pass_rate_that_is_hardly_outside_is_said_so() -> None:
    table = table_of(COLUMNS, reward=[0.1, np.nextafter(np.float32(1), np.float32(2))])
    with pytest.raises(ValueError, match=r"got pass rates from 0\.1 to 1\.0000001$"):
        select(ds.PassRate(), table, 0)


def test_a_run_draws_what_is_informative() -> None:
    rates = np.concatenate([np.zeros(100), np.full(20, 0.5), np.ones(80)]).astype(np.float32)
    sampler = ds.Sampler(200, ds.PassRate(20, eps=1e-3), batch_size=10, seed=2)
    drawn = []
    for step in range(40):
        sampler.set_epoch(step)
        assert len(sampler) == 2
        for index in sampler:
            drawn.append(index)
            sampler.observe(index, reward=rates[index])
    ids = np.concatenate(drawn)
    informative = (ids >= 100) & (ids < 120)
    assert informative[:200].mean() < 0.3
    assert informative[-200:].mean() > 0.7
    assert (np.sort(ids[:20]) == np.unique(ids[:20])).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_draws": -1}, "num_draws must be in"),
        ({"form": "normal"}, "form must be one of 'variance', 'gaussian', got 'normal'"),
        ({"target": 2}, r"target must be in \[0, 1\], got 2"),
        ({"width": 0}, r"width must be in \[0.001, inf\), got 0"),
        ({"eps": -1}, r"eps must be in \[0, 1\], got -1"),
        ({"eps": 1e-9}, r"eps must be 0, or in \[1e-06, 1\], got 1e-09"),
        ({"retire": 0}, r"retire must be in \(0, 1\], got 0"),
        ({"decay": 1}, r"decay must be in \[0, 1\), got 1"),
    ],
)
def test_bad_options_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ds.PassRate(**options)
