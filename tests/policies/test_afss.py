"""AFSS: easy, moderate and hard samples."""

from __future__ import annotations

import numpy as np
import pytest
from group_cases import Grouped, grouped, put_issued
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import SEEDS, check, hidden_rows, select

import dynsample as ds

SIGNALS = ("confidence", "correct")
COLUMNS = ds.AFSS(signals=SIGNALS).columns


@given(
    grouped(COLUMNS),
    st.sampled_from([(0.85, 0.55), (0.7, 0.2), (0.15, 0.15)]),
    st.sampled_from([0.02, 0.5, 1.0]),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.integers(0, 6),
    st.integers(0, 12),
    SEEDS,
)
def test_it_is_its_oracle(
    case: Grouped,
    levels: tuple[float, float],
    easy: float,
    moderate: float,
    interval: int,
    epoch: int,
    seed: int,
) -> None:
    policy = ds.AFSS(*levels, easy, moderate, interval, interval // 2, signals=SIGNALS)
    check(policy, case.table, epoch, seed)


def table_of(sufficiency: np.ndarray, last: list[int]) -> ds.ScoreTable:
    policy = ds.AFSS()
    table = ds.ScoreTable(len(last), policy.columns)
    high = np.minimum(sufficiency + 0.3, 1).astype(np.float32)
    swap = np.arange(len(last)) % 2 == 0  # the precision is the least of some, the recall of others
    low = sufficiency.astype(np.float32)
    given = {"precision": np.where(swap, low, high), "recall": np.where(swap, high, low)}
    table.observe(np.arange(len(last)), **given)
    put_issued(table, last)
    return table


def test_levels_have_their_shares() -> None:
    sufficiency = np.repeat([0.9, 0.7, 0.5], [100, 50, 10])
    table = table_of(sufficiency, [9] * 160)
    selection = select(ds.AFSS(), table, 10)
    kept = np.setdiff1d(np.arange(160), hidden_rows(selection))
    assert np.bincount(np.repeat([0, 1, 2], [100, 50, 10])[kept]).tolist() == [2, 20, 10]
    assert selection.stats == {"easy": 100, "moderate": 50}
    assert selection.refresh
    assert not select(ds.AFSS(), table, 11).refresh


def test_what_was_unused_long_comes_first() -> None:
    sufficiency = np.repeat([0.9, 0.7], [100, 10])
    last = [19] * 110
    last[5], last[6], last[7], last[105], last[106] = 9, 3, 4, 16, 15
    table = table_of(sufficiency, last)
    for seed in range(20):
        kept = np.setdiff1d(np.arange(110), hidden_rows(select(ds.AFSS(), table, 20, seed)))
        easy = kept[kept < 100]
        assert len(easy) == 2
        assert 6 in easy  # of the three that are due the longest unused; a half is of these
        moderate = kept[kept >= 100]
        assert len(moderate) == 4
        assert {105, 106} <= set(moderate.tolist())


def test_all_moderate_samples_that_are_due_are_used() -> None:
    table = table_of(np.full(10, 0.6), [0] * 10)
    assert hidden_rows(select(ds.AFSS(), table, 4)) == []
    assert len(hidden_rows(select(ds.AFSS(), table, 3))) == 6


def test_levels_include_their_bounds() -> None:
    policy = ds.AFSS(easy_fraction=0, moderate_fraction=0, moderate_interval=99)
    table = table_of(np.float32([0.85, 0.55, 0.8501, 0.5499]), [1] * 4)
    assert hidden_rows(select(policy, table, 2)) == [0, 1, 2]
    assert select(policy, table, 2).stats == {"easy": 1, "moderate": 2}


def test_what_is_not_known_is_hard() -> None:
    table = ds.ScoreTable(4, ds.AFSS().columns)
    assert hidden_rows(select(ds.AFSS(), table, 1)) == []
    nan, inf = np.nan, np.inf
    table.observe(np.arange(3), precision=np.float32([nan, inf, 1]), recall=np.float32([1, 1, nan]))
    policy = ds.AFSS(easy_fraction=0, moderate_fraction=0)
    assert hidden_rows(select(policy, table, 1)) == []


def test_one_signal_serves() -> None:
    policy = ds.AFSS(signals=("confidence",), easy_fraction=0.5)
    sampler = ds.Sampler(40, policy, batch_size=8, seed=1)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for index in sampler:
            sampler.observe(index, confidence=np.where(index < 20, 0.9, 0.1).astype(np.float32))
        for index in sampler.hidden:
            sampler.observe(index, confidence=np.full(len(index), 0.9, np.float32))
        if epoch:
            assert len(sampler.plan.hidden) == 10
            assert sampler.plan.hidden.max() < 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"moderate": 0.9}, "moderate must be at most easy, which is 0.85, got 0.9"),
        ({"easy_fraction": 1.1}, r"easy_fraction must be in \[0, 1\], got 1.1"),
        ({"moderate_interval": -1}, "moderate_interval must be in"),
        ({"refresh_every": 0}, "refresh_every must be in"),
        ({"signals": "precision"}, "signals must be a sequence of names, .* got 'precision'"),
        ({"signals": ()}, r"signals must be a sequence of names, .* got \(\)"),
        ({"signals": ("issued",)}, "signals must be a sequence of names"),
    ],
)
def test_bad_options_are_errors(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ds.AFSS(**options)
