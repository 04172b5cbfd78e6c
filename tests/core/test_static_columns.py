"""Columns that only `set_column` sets: they make nothing known, and no observation changes them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample import groups
from dynsample.coreset import score_files
from dynsample.table.columns import signals_of

NAN, INF = np.nan, np.inf
N = 40
DIFFICULTY = np.sin(np.arange(N) * 7.0).astype(np.float32)


def test_it_is_nan_until_it_is_set_and_makes_no_row_seen_or_known() -> None:
    table = ds.ScoreTable(3, {"loss": ds.Last(), "difficulty": ds.Static()})
    assert np.isnan(table["difficulty"]).all()
    table.set_column("difficulty", [3.0, NAN, 1.0])
    np.testing.assert_array_equal(table["difficulty"], np.float32([3, NAN, 1]))
    assert not table.seen.any()
    assert not table.known.any()
    assert not table.hide_lowest(table["difficulty"], 3).any()
    table.observe(np.array([1]), loss=np.float32([2]))
    np.testing.assert_array_equal(table.known, [False, True, False])
    np.testing.assert_array_equal(table["difficulty"], np.float32([3, NAN, 1]))
    table.set_column("difficulty", [0.0, 0.0, 5.0])
    np.testing.assert_array_equal(table["difficulty"], [0, 0, 5])


def test_no_signal_is_asked_for_it() -> None:
    columns = {"loss": ds.Last(), "mean": ds.Mean(signal="el2n"), "difficulty": ds.Static()}
    assert signals_of(columns) == ["el2n", "loss"]
    assert not ds.Static().takes(0)
    table = ds.ScoreTable(3, {"difficulty": ds.Static()})
    table.observe(np.array([1]), difficulty=np.float32([2]))  # as other signals nobody reads
    assert np.isnan(table["difficulty"]).all()
    np.testing.assert_array_equal(table.seen, [False, True, False])


def test_it_has_no_parameters() -> None:
    assert ds.Static() == ds.Static()
    assert repr(ds.Static()) == "Static()"
    for name in ("signal", "until"):
        with pytest.raises(TypeError, match=name):
            ds.Static(**{name: None})


def test_rows_whose_value_is_meant_can_be_named() -> None:
    table = ds.ScoreTable(5, {"loss": ds.Last(), "difficulty": ds.Static()})
    table.observe(np.array([4]), loss=np.float32([1]))
    table.set_column("difficulty", [2, 1, NAN, 0, 9])
    difficulty, known = table["difficulty"], np.array([True, True, True, True, False])
    assert np.flatnonzero(table.hide_lowest(difficulty, 2)).tolist() == [4]
    found = table.hide_lowest(difficulty, 2, known=known)
    assert np.flatnonzero(found).tolist() == [1, 3]
    found = table.hide_lowest(difficulty, 5, np.arange(5) > 0, known=known)
    assert np.flatnonzero(found).tolist() == [1, 3]
    for wrong, error, message in (
        (known[:4], ValueError, "known must have 5 rows"),
        (known.astype(np.int8), TypeError, "known must have dtype bool, got int8"),
    ):
        with pytest.raises(error, match=message):
            table.hide_lowest(difficulty, 2, known=wrong)
        with pytest.raises(error, match=message):
            table.draw(difficulty, 2, ds.EpochRandom(0, 0), replacement=True, known=wrong)


def test_what_was_not_set_is_named_with_what_sets_it() -> None:
    table = ds.ScoreTable(3, {"difficulty": ds.Static()})
    for values in (None, [NAN, INF, NAN]):
        if values is not None:
            table.set_column("difficulty", values)
        message = r"column 'difficulty' .* set it with table.set_column\('difficulty', values\)"
        with pytest.raises(ValueError, match=message):
            table.imported("difficulty")
    table.set_column("difficulty", [NAN, NAN, 1])
    np.testing.assert_array_equal(table.imported("difficulty"), table["difficulty"])
    assert ds.ScoreTable(0, {"difficulty": ds.Static()}).imported("difficulty").shape == (0,)


FLOATS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, NAN, INF, -INF])


@given(st.lists(st.tuples(FLOATS, FLOATS), max_size=30))
def test_a_difference_is_that_of_float32_and_says_nothing_of_infinities(pairs) -> None:
    one, other = np.array(pairs, np.float32).reshape(-1, 2).T.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ds.ScoreTable(len(pairs), {}).subtract(one, other)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, one - other)
    assert found.dtype == np.float32


def make(group: Any = None, **options: Any) -> ds.Sampler:
    columns = {"difficulty": ds.Static(), "loss": ds.Last()}
    return ds.Sampler(N, ds.Curriculum(lambda e: 0.5), 4, columns=columns, group=group, **options)


def train(sampler: ds.Sampler) -> None:
    for index in sampler:
        sampler.observe(index, loss=np.float32(index))


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("placement", ["replicated", "sharded"])
def test_a_run_saves_what_was_set_and_goes_on_at_any_number_of_ranks(
    placement: str, ranks: int, after: int, tmp_path: Path
) -> None:
    def begin(group: groups.Group) -> str:
        sampler = make(group, placement=placement)
        sampler.table.set_column("difficulty", sampler.table.rows(DIFFICULTY))
        sampler.set_epoch(0)
        train(sampler)
        sampler.set_epoch(1)
        sampler.save(tmp_path / "state")
        return sampler.plan.digest

    def go_on(group: groups.Group) -> str:
        sampler = make(group, placement=placement)
        sampler.load(tmp_path / "state")
        first, last = sampler.table.bounds
        np.testing.assert_array_equal(sampler.table["difficulty"], DIFFICULTY[first:last])
        assert sampler.table.count(sampler.table.known) == N // 2
        return sampler.plan.digest

    digests = {*groups.simulate(ranks, begin), *groups.simulate(after, go_on)}
    assert len(digests) == 1


def test_a_policy_whose_scores_were_not_set_says_so_on_every_rank() -> None:
    def body(group: groups.Group) -> None:
        sampler = make(group, placement="sharded")
        if group.rank:
            sampler.table.set_column("difficulty", sampler.table["difficulty"])
        with pytest.raises(ValueError, match=r"column 'difficulty' .*set_column"):
            sampler.set_epoch(0)
        sampler.table.set_column("difficulty", sampler.table.rows(DIFFICULTY))
        sampler.set_epoch(0)
        assert sampler.plan.num_hidden == N // 2

    for size in (1, 3):
        groups.simulate(size, body)


def test_nobody_is_told_to_observe_what_no_observation_decides() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler = ds.Sampler(N, ds.Curriculum(ds.schedules.linear(0.5, 2)), 4, group=None)
        sampler.table.set_column("difficulty", DIFFICULTY)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            assert sum(map(len, sampler)) == [N // 2, 3 * N // 4, N][epoch]
    sampler = ds.Sampler(N, ds.ReducibleLoss(), 4, group=None)
    sampler.table.set_column("reference_loss", DIFFICULTY)
    sampler.set_epoch(0)
    list(sampler)
    with pytest.warns(match="ReducibleLoss selects by loss: call sampler.observe"):
        sampler.set_epoch(1)


def test_scores_of_a_coreset_are_read_from_a_saved_one(tmp_path: Path) -> None:
    sampler = make()
    sampler.table.set_column("difficulty", DIFFICULTY)
    sampler.set_epoch(0)
    train(sampler)
    sampler.save(tmp_path / "state")
    found = score_files.from_sampler(tmp_path / "state", "difficulty")
    np.testing.assert_array_equal(found, DIFFICULTY)
