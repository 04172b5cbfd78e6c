"""Forgetting events."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select, tables

import dynsample as ds

MODES = ("inf", "n", "zero")


@given(
    tables(ds.Forgetting().columns),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(MODES),
    st.booleans(),
    EPOCHS,
    SEEDS,
)
def test_it_is_its_oracle(table, fraction, mode, lag, epoch, seed) -> None:
    policy = ds.Forgetting(fraction, static_epochs=3, never_learned=mode, lag=lag, refresh_every=2)
    selection = check(policy, table, epoch, seed)
    assert selection.hidden is None or not (selection.hidden & ~table.seen).any()


def history(policy: ds.Forgetting, correct: list[list[int]], first: int = 0) -> ds.ScoreTable:
    table = ds.ScoreTable(len(correct[0]), policy.columns)
    for epoch, row in enumerate(correct, first):
        table.observe(np.arange(len(row)), epoch=epoch, correct=np.array(row, np.float32))
    return table


# Forgotten twice, never, once; never learned.
CORRECT = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0]]


@pytest.mark.parametrize(
    ("mode", "scores"),
    [("inf", [2, 0, 1, math.inf]), ("n", [2, 0, 1, 4]), ("zero", [2, 0, 1, 0])],
)
def test_scores_count_events_and_treat_the_never_learned_as_told(mode, scores) -> None:
    policy = ds.Forgetting(0.99, static_epochs=4, never_learned=mode)
    table = history(policy, CORRECT)
    np.testing.assert_array_equal(policy.score(table), np.float32(scores))
    lowest = sorted(range(4), key=lambda i: (scores[i], i))[:3]
    assert hidden_rows(select(policy, table, 4)) == sorted(lowest)


def test_the_never_seen_have_no_score() -> None:
    policy = ds.Forgetting(never_learned="n")
    assert np.isnan(policy.score(ds.ScoreTable(2, policy.columns))).all()


def test_static_events_stop_and_lagged_ones_do_not() -> None:
    later = [[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1], [1, 0, 1, 1]]
    for lag, events in ((False, [2, 0, 1]), (True, [2, 2, 1])):
        policy = ds.Forgetting(0.25, static_epochs=4, lag=lag)
        table = history(policy, CORRECT + later)
        assert policy.score(table)[:3].tolist() == events
        assert select(policy, table, 3) == ds.Selection()
        assert select(policy, table, 8).refresh == lag


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="never_learned must be one of 'inf', 'n', 'zero'"):
        ds.Forgetting(never_learned="Inf")
    with pytest.raises(ValueError, match=r"fraction must be in \[0, 1\)"):
        ds.Forgetting(fraction=1.0)
