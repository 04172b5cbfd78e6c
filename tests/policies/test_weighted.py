"""Draws with given probabilities."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select, table_of, tables

import dynsample as ds
from dynsample.columns import Last


@given(st.lists(st.floats(0, 10, width=32), max_size=20), EPOCHS, SEEDS, st.booleans())
def test_given_probabilities_are_as_the_oracle_says(values, epoch, seed, replacement) -> None:
    array = np.array(values, np.float32)
    positive = int((array > 0).sum())
    if replacement and values and not positive:
        return
    policy = ds.WeightedRandom(array, None if replacement else positive, replacement)
    check(policy, ds.ScoreTable(len(values), {}), epoch, seed)


@given(tables({"loss": Last()}), EPOCHS, SEEDS)
def test_a_column_is_read_when_the_epoch_is_planned(table, epoch, seed) -> None:
    known = table["loss"][np.isfinite(table["loss"])]
    if len(known) and not known.any():
        return
    policy = ds.WeightedRandom("loss")
    assert policy.columns == {"loss": Last()}
    check(policy, table, epoch, seed)


def test_a_fixed_array_counts_for_samples_never_seen() -> None:
    policy = ds.WeightedRandom(torch.tensor([1.0, 0.0, 3.0]), num_draws=400)
    selection = select(policy, ds.ScoreTable(3, {}), 0)
    assert selection.counts is not None
    assert selection.counts.tolist() == [100, 0, 300]


def test_a_callable_gets_the_table() -> None:
    table = table_of({"loss": Last()}, loss=[1, 2, 1])
    selection = select(ds.WeightedRandom(lambda t: t["loss"] * 2, num_draws=400), table, 0)
    assert selection.counts is not None
    assert selection.counts.tolist() == [100, 200, 100]
    with pytest.raises(ValueError, match="probabilities must have 3 entries, got 2"):
        select(ds.WeightedRandom(lambda t: t["loss"][:2]), table, 0)


def test_a_subset_takes_its_entries_of_the_array() -> None:
    table = ds.ScoreTable(2, {}, index=np.array([1, 3]))
    policy = ds.WeightedRandom(np.float32([9, 1, 9, 3]), num_draws=400)
    selection = select(policy, table, 0)
    assert selection.counts is not None
    assert selection.counts.tolist() == [100, 300]


def test_without_replacement_the_rest_is_hidden() -> None:
    policy = ds.WeightedRandom(np.float32([1, 0, 1]), num_draws=2, replacement=False)
    assert hidden_rows(select(policy, ds.ScoreTable(3, {}), 0)) == [1]


def test_new_probabilities_hold_from_the_next_epoch_planned() -> None:
    table = ds.ScoreTable(2, {})
    policy = ds.WeightedRandom(np.float32([1, 0]))

    def counts(epoch: int, of: ds.WeightedRandom = policy) -> list[int]:
        drawn = select(of, table, epoch).counts
        assert drawn is not None
        return drawn.tolist()

    assert counts(4) == [2, 0]
    policy.set_probabilities(np.float32([0, 1]))
    assert counts(4) == [2, 0]
    assert counts(5) == [0, 2]
    policy.set_probabilities(np.float32([1, 1]))
    assert counts(5) == [0, 2]
    resumed = ds.WeightedRandom(np.float32([1, 0]))
    assert resumed.fingerprint(5) == policy.fingerprint(5)
    resumed.load_state(policy.state())
    assert counts(5, resumed) == [0, 2]
    assert counts(6, resumed) == counts(6) == [1, 1]


def test_probabilities_are_copied_and_told_apart() -> None:
    array = np.float32([1, 0])
    policy = ds.WeightedRandom(array)
    before = policy.fingerprint(0)
    array[:] = 5
    assert policy.fingerprint(0) == before
    assert ds.WeightedRandom(array).fingerprint(0) != before
    assert ds.WeightedRandom("loss").fingerprint(0)["probabilities"] == "loss"
    assert "ones" in str(ds.WeightedRandom(ones).fingerprint(0)["probabilities"])


def ones(table: ds.ScoreTable) -> np.ndarray:
    return np.ones(table.num_samples, np.float32)


def test_bad_input_is_named() -> None:
    with pytest.raises(TypeError, match="probabilities must have dtype float32, got float64"):
        ds.WeightedRandom(np.ones(3))
    with pytest.raises(TypeError, match="probabilities must be a numpy array"):
        ds.WeightedRandom([1.0, 2.0])
    with pytest.raises(ValueError, match="probabilities must have 2 entries, got 3"):
        select(ds.WeightedRandom(np.ones(3, np.float32)), ds.ScoreTable(2, {}), 0)
    with pytest.raises(ValueError, match="since/<epoch>"):
        ds.WeightedRandom("loss").load_state({"x": np.ones(1, np.float32)})
