"""Curriculum learning by a given difficulty, and its pacing functions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select, tables

import dynsample as ds
from dynsample.policies.schedules import linear, root, step

COLUMNS = ds.Curriculum(lambda epoch: 1).columns
PACES = st.builds(
    lambda make, start, epochs: make(start, epochs),
    st.sampled_from([linear, root, step]), st.floats(0, 1), st.integers(1, 120),
)  # fmt: skip


@given(PACES, tables({**COLUMNS, "loss": ds.Last()}), EPOCHS, SEEDS)
def test_it_is_its_oracle(pace, table, epoch, seed) -> None:
    selection = check(ds.Curriculum(pace), table, epoch, seed)
    left_out = table.num_samples - int(pace(epoch) * table.num_samples)
    finite = table.count(np.isfinite(table["difficulty"]))
    assert len(hidden_rows(selection)) == min(left_out, finite)
    assert selection.weights is None
    assert not selection.refresh


def test_the_easiest_are_kept_whether_they_were_seen_or_not() -> None:
    table = ds.ScoreTable(6, COLUMNS)
    table.set_column("difficulty", [5, 1, np.nan, 1, -2, 7])
    policy = ds.Curriculum([0, 1 / 6, 0.5, 0.7, 1].__getitem__)
    hidden = [hidden_rows(select(policy, table, epoch)) for epoch in range(5)]
    assert hidden == [[0, 1, 3, 4, 5], [0, 1, 3, 4, 5], [0, 1, 5], [0, 5], []]
    table.observe(np.array([5]))
    assert hidden_rows(select(policy, table, 3)) == [0, 5]


@given(PACES, st.integers(0, 150))
def test_paces_grow_from_their_start_to_one(pace, epoch) -> None:
    assert 0 <= pace(epoch) <= pace(epoch + 1) <= 1
    assert pace(0) == (pace.start if isinstance(pace, ds.schedules.Growth) else pace.factors[0])
    assert pace(200) == 1


def test_paces_are_those_of_their_formulas() -> None:
    for epoch in range(9):
        x = min(epoch / 7, 1)
        assert linear(0.3, 7)(epoch) == pytest.approx(0.3 + 0.7 * x)
        assert root(0.3, 7)(epoch) == pytest.approx(0.3 + 0.7 * math.sqrt(x))
        assert step(0.3, 7)(epoch) == (0.3 if x < 1 else 1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ds.Curriculum(0.5), TypeError, "pace must be callable with an epoch, got 0.5"),
        (lambda: linear(1.5, 3), ValueError, r"start must be in \[0, 1\], got 1.5"),
        (lambda: root(0.5, 0), ValueError, r"epochs must be in \[1, "),
        (lambda: step(-0.5, 3), ValueError, r"start must be in \[0, 1\], got -0.5"),
        (lambda: ds.schedules.Growth(0, 1, "log"), ValueError, "form must be one of 'linear', 'ro"),
    ],
)
def test_bad_options_are_errors(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_pace_that_is_no_share_is_named(value: float) -> None:
    table = ds.ScoreTable(2, COLUMNS)
    table.set_column("difficulty", [1, 2])
    with pytest.raises(ValueError, match=rf"pace\(4\) must be in \[0, 1\], got {value}"):
        select(ds.Curriculum(lambda epoch: value), table, 4)


def test_a_difficulty_that_was_not_set_is_named() -> None:
    with pytest.raises(ValueError, match=r"column 'difficulty' .* table.set_column\('difficulty'"):
        select(ds.Curriculum(linear(0.5, 3)), ds.ScoreTable(2, COLUMNS), 0)


def test_the_fingerprint_holds_the_pace_of_the_epoch() -> None:
    policy = ds.Curriculum(linear(0.5, 2))
    assert policy.fingerprint(1) == {
        "class": "Curriculum", "pace": {"at_epoch": 1, "value": 0.75},
    }  # fmt: skip
