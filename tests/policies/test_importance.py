"""Importance sampling."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select, table_of, tables

import dynsample as ds

COLUMNS = ds.ImportanceSampling().columns


@given(
    tables(COLUMNS),
    st.sampled_from([0.0, 0.1, 0.9]),
    st.sampled_from([1.0, 2.0, 0.5]),
    st.booleans(),
    EPOCHS,
    SEEDS,
)
def test_it_is_its_oracle(table, smoothing, temperature, correct, epoch, seed) -> None:
    policy = ds.ImportanceSampling(
        smoothing=smoothing, temperature=temperature, correct_bias=correct and smoothing > 0
    )
    selection = check(policy, table, epoch, seed)
    if selection.counts is not None:
        assert selection.counts.sum() == table.num_samples
        if selection.weights is not None:
            assert (selection.weights > 0).all()


@given(tables(COLUMNS), st.integers(0, 20), EPOCHS, SEEDS)
def test_without_replacement_it_is_its_oracle(table, k, epoch, seed) -> None:
    losses = table["loss"]
    assume(k <= (~(losses == 0)).sum())
    policy = ds.ImportanceSampling(num_draws=k, replacement=False)
    selection = check(policy, table, epoch, seed)
    if selection.hidden is not None:
        assert len(hidden_rows(selection)) == table.num_samples - k


def test_nothing_seen_gives_every_sample_once() -> None:
    for n in (0, 1, 4):
        for policy in (ds.ImportanceSampling(), ds.ImportanceSampling(n, replacement=False)):
            assert check(policy, ds.ScoreTable(n, COLUMNS), 0, 1) == ds.Selection()
    zeros = table_of(COLUMNS, loss=[0, 0])
    assert select(ds.ImportanceSampling(temperature=2), zeros, 1) == ds.Selection()


def test_counts_follow_the_losses() -> None:
    table = table_of(COLUMNS, loss=[0, 1, 3, np.nan])
    selection = select(ds.ImportanceSampling(num_draws=700), table, 1)
    assert selection.counts is not None
    assert selection.counts.tolist() == [0, 100, 300, 300]
    assert selection.weights is None
    root = select(ds.ImportanceSampling(num_draws=900, temperature=0.5), table, 1)
    assert root.counts is not None
    assert np.abs(root.counts.astype(int) - 900 * np.array([0, 1, 9, 9]) / 19).max() <= 1


def test_corrected_draws_have_the_mean_loss_as_expectation() -> None:
    losses = np.array([0.0, 0.5, 1.0, 4.0, 10.0])
    table = table_of(COLUMNS, loss=losses)
    policy = ds.ImportanceSampling(num_draws=7, smoothing=0.2, correct_bias=True)
    means = []
    for seed in range(600):
        selection = select(policy, table, 1, seed)
        assert selection.counts is not None
        assert selection.weights is not None
        means.append((selection.counts * selection.weights * losses).sum() / 7)
    # Systematic counts are within one of their expectation: the mean stays within `spread`.
    spread = (selection.weights * losses).sum() / 7
    assert np.mean(means) == pytest.approx(losses.mean(), abs=6 * spread / np.sqrt(600))
    shares = 1 / (5 * selection.weights.astype(float))
    assert shares.sum() == pytest.approx(1, rel=1e-6)
    assert (shares * selection.weights * losses).sum() == pytest.approx(losses.mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"correct_bias": True}, "smoothing must be above 0 with correct_bias=True"),
        (
            {"correct_bias": True, "smoothing": 0.1, "replacement": False},
            "replacement must be True with correct_bias=True",
        ),
        ({"smoothing": 1.0}, r"smoothing must be in \[0, 1\), got 1.0"),
        ({"temperature": 0.0}, r"temperature must be in \(0, inf\), got 0.0"),
        ({"num_draws": -1}, "num_draws must be in"),
    ],
)
def test_bad_options_are_errors(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        ds.ImportanceSampling(**options)


def test_what_cannot_be_drawn_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"loss must not be negative.*got -1.0"):
        select(ds.ImportanceSampling(), table_of(COLUMNS, loss=[1, -1]), 1)
    with pytest.raises(ValueError, match=r"."):
        select(ds.ImportanceSampling(replacement=False), table_of(COLUMNS, loss=[1, 0]), 1)
