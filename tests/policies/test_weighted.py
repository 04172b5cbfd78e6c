"""Draws with given probabilities."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select, table_of, tables

import dynsample as ds
from dynsample.disk.checkpoint import StateError
from dynsample.table.columns import Last


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
    policy.planned(4)
    policy.set_probabilities(np.float32([0, 1]))
    assert counts(4) == [2, 0]
    assert counts(5) == [0, 2]
    policy.planned(5)
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
    with pytest.raises(TypeError, match="probabilities must be real numbers, got dtype complex"):
        ds.WeightedRandom(np.ones(3) * 1j)
    with pytest.raises(TypeError, match="probabilities must be a sequence of numbers, got NoneT"):
        ds.WeightedRandom(None)
    with pytest.raises(ValueError, match="probabilities must have 2 entries, got 3"):
        select(ds.WeightedRandom(np.ones(3, np.float32)), ds.ScoreTable(2, {}), 0)
    with pytest.raises(ValueError, match="since/<epoch>"):
        ds.WeightedRandom("loss").load_state({"x": np.ones(1, np.float32)})


ONES, THIRD = np.ones(8, np.float32), np.eye(8, dtype=np.float32)[3]
WRONG = {
    "all zeros": (np.zeros(8, np.float32), "probabilities must have a positive entry, got 8 zeros"),
    "a negative one": (-ONES, "probabilities must not be negative, got -1 at 0"),
    "another length": (np.ones(9, np.float32), "must have 8 entries, as those .* so far, got 9"),
    "two dimensions": (ONES[None], "probabilities must have one dimension"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_probabilities_are_refused_when_they_are_set(what: str) -> None:
    wrong, message = WRONG[what]
    sampler = ds.Sampler(8, ds.WeightedRandom(ONES), batch_size=8)
    sampler.set_epoch(0)
    with pytest.raises(ValueError, match=message):
        sampler.policy.set_probabilities(wrong)
    sampler.set_epoch(1)
    assert sorted(sampler.plan.order.tolist()) == list(range(8))
    sampler.policy.set_probabilities(THIRD)
    sampler.set_epoch(2)
    assert set(sampler.plan.order.tolist()) == {3}


@pytest.mark.parametrize("what", ["all zeros", "a negative one"])
def test_wrong_probabilities_are_refused_when_the_policy_is_made(what: str) -> None:
    wrong, message = WRONG[what]
    with pytest.raises(ValueError, match=message):
        ds.WeightedRandom(wrong)


def test_more_draws_than_there_are_rows_to_draw_are_refused() -> None:
    with pytest.raises(ValueError, match=r"num_draws must be at most .* positive .*, 1, without"):
        ds.WeightedRandom(THIRD, num_draws=2, replacement=False)
    policy = ds.WeightedRandom(ONES, num_draws=2, replacement=False)
    with pytest.raises(ValueError, match="got 2"):
        policy.set_probabilities(THIRD)


def test_probabilities_that_are_not_finite_are_the_largest_finite_one() -> None:
    policy = ds.WeightedRandom(np.float32([np.nan, np.inf, 1, 0]), num_draws=300)
    selection = select(policy, ds.ScoreTable(4, {}), 0)
    assert selection.counts is not None
    assert selection.counts.tolist() == [100, 100, 100, 0]
    policy.set_probabilities(np.full(4, np.nan, np.float32))


def test_an_epoch_that_could_not_be_planned_counts_for_nothing() -> None:
    """The first array is that of a part, which only the plan can know."""
    policy = ds.WeightedRandom(np.ones(9, np.float32))
    sampler = ds.Sampler(8, policy, batch_size=8)
    for _ in range(2):
        with pytest.raises(ValueError, match="probabilities must have 8 entries, got 9"):
            sampler.set_epoch(0)
    policy.set_probabilities(THIRD)
    sampler.set_epoch(0)
    assert set(sampler.plan.order.tolist()) == {3}


def test_selecting_changes_nothing_until_the_epoch_starts() -> None:
    table = ds.ScoreTable(8, {})
    policy = ds.WeightedRandom(ONES)
    before = policy.state()
    for epoch in (5, 2, 9):
        select(policy, table, epoch)
    policy.set_probabilities(THIRD)
    assert before == {}
    assert policy.state().keys() == {"since/0"}
    counts = select(policy, table, 0).counts
    assert counts is not None
    assert counts[3] == 8


def test_samplers_that_share_a_policy_do_not_disturb_each_other() -> None:
    policy = ds.WeightedRandom(ONES)
    ahead, behind = (ds.Sampler(8, policy, batch_size=8) for _ in range(2))
    ahead.set_epoch(6)
    behind.set_epoch(2)
    policy.set_probabilities(THIRD)
    ahead.set_epoch(7)
    behind.set_epoch(2, restart=True)  # its own epoch, as it was
    assert set(ahead.plan.order.tolist()) == {3}
    assert sorted(behind.plan.order.tolist()) == list(range(8))
    behind.set_epoch(3)
    assert set(behind.plan.order.tolist()) == {3}


def test_a_load_that_fails_leaves_what_was_set(tmp_path: Path) -> None:
    other = ds.Sampler(8, ds.WeightedRandom(ONES), batch_size=8, seed=5)
    other.save(tmp_path / "other")
    sampler = ds.Sampler(8, ds.WeightedRandom(ONES), batch_size=8)
    sampler.set_epoch(0)
    sampler.policy.set_probabilities(THIRD)
    with pytest.raises(StateError):
        sampler.load(tmp_path / "other")
    sampler.set_epoch(0, restart=True)
    assert sorted(sampler.plan.order.tolist()) == list(range(8))
    sampler.set_epoch(1)
    assert set(sampler.plan.order.tolist()) == {3}
