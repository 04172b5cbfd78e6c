"""A random subset every epoch."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select

import dynsample as ds

FRACTIONS = st.floats(0, 1, exclude_max=True)


@given(st.integers(0, 40), FRACTIONS, st.booleans(), EPOCHS, SEEDS)
def test_it_is_its_oracle_and_hides_exactly_the_fraction(
    n, fraction, replacement, epoch, seed
) -> None:
    policy = ds.RandomSubset(fraction, replacement)
    selection = check(policy, ds.ScoreTable(n, {}), epoch, seed)
    assert len(hidden_rows(selection)) == int(fraction * n)
    assert selection.weights is None
    assert not selection.refresh


@given(st.integers(1, 40), st.floats(0.01, 0.99), st.integers(0, 3), SEEDS)
def test_without_replacement_a_round_uses_samples_equally(n, fraction, round_, seed) -> None:
    table, policy = ds.ScoreTable(n, {}), ds.RandomSubset(fraction)
    hidden = int(fraction * n)
    epochs = math.ceil(n / min(hidden, n - hidden)) if hidden else 1
    uses = np.zeros(n, int)
    for epoch in range(round_ * epochs, (round_ + 1) * epochs):
        uses += ~np.isin(np.arange(n), hidden_rows(select(policy, table, epoch, seed)))
    assert uses.max() - uses.min() <= 1
    assert uses.min() >= 1
    assert hidden == 0 or uses.min() < epochs, "something was hidden"
    if hidden and epochs * (n - hidden) % n == 0:
        assert uses.max() == uses.min()


def test_rounds_and_seeds_differ() -> None:
    table, policy = ds.ScoreTable(200, {}), ds.RandomSubset(0.5)
    subsets = [
        tuple(hidden_rows(select(policy, table, epoch, seed)))
        for seed in (0, 1)
        for epoch in range(6)
    ]
    assert len(set(subsets)) == len(subsets)


@pytest.mark.parametrize("replacement", [False, True])
def test_every_sample_is_hidden_equally_often_in_the_long_run(replacement: bool) -> None:
    table, policy = ds.ScoreTable(20, {}), ds.RandomSubset(0.3, replacement)
    times = np.zeros(20)
    for epoch in range(1000):
        times[hidden_rows(select(policy, table, epoch, seed=7))] += 1
    # Binomial(1000, 0.3) has a deviation of 14.5; six of them, by twenty samples.
    assert np.abs(times - 300).max() < 6 * 14.5


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5, math.nan])
def test_a_fraction_out_of_range_is_an_error(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"fraction must be in \[0, 1\), got"):
        ds.RandomSubset(fraction)


def test_wrong_types_are_errors() -> None:
    with pytest.raises(TypeError, match="fraction must be a number"):
        ds.RandomSubset("0.3")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="replacement must be True or False"):
        ds.RandomSubset(0.3, 1)  # type: ignore[arg-type]
