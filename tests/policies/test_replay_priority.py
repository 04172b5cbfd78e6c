"""Prioritized level replay."""

from __future__ import annotations

import numpy as np
import pytest
from group_cases import Grouped, grouped, put_issued
from hypothesis import assume, given
from hypothesis import strategies as st
from policy_cases import SEEDS, check, hidden_rows, select

import dynsample as ds

COLUMNS = ds.ReplayPriority().columns


@given(
    grouped(COLUMNS),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.sampled_from([0.1, 1.0, 3.0]),
    st.integers(0, 14),
    SEEDS,
)
def test_it_is_its_oracle(
    case: Grouped, rho: float, temperature: float, epoch: int, seed: int
) -> None:
    selection = check(ds.ReplayPriority(rho, temperature), case.table, epoch, seed)
    if selection.counts is not None:
        assert selection.counts.sum() == case.table.num_samples


@given(grouped(COLUMNS), st.integers(0, 20), st.integers(13, 20), SEEDS)
def test_without_replacement_it_is_its_oracle(case: Grouped, k: int, epoch: int, seed: int) -> None:
    assume(k <= case.table.num_samples)
    policy = ds.ReplayPriority(0.3, 1.0, num_draws=k, replacement=False)
    selection = check(policy, case.table, epoch, seed)
    if selection.hidden is not None:
        assert len(hidden_rows(selection)) == case.table.num_samples - k


def table_of(scores: list[float], last: list[int]) -> ds.ScoreTable:
    table = ds.ScoreTable(len(scores), COLUMNS)
    table.observe(np.arange(len(scores)), loss=np.float32(scores))
    put_issued(table, last)
    return table


def test_probabilities_are_those_of_the_paper() -> None:
    table = table_of([0.1, 5.0, 0.3, 2.0], [7, 4, 9, 9])
    rho, temperature, draws = 0.4, 0.5, 100_000
    policy = ds.ReplayPriority(rho, temperature, num_draws=draws)
    by_score = (1 / np.array([4, 1, 3, 2])) ** (1 / temperature)
    stale = np.array([3, 6, 1, 1])
    p = (1 - rho) * by_score / by_score.sum() + rho * stale / stale.sum()
    counts = select(policy, table, 10).counts
    assert counts is not None
    assert np.abs(counts - draws * p).max() <= 1.05


def test_what_was_never_seen_is_drawn_with_the_largest_probability() -> None:
    table = table_of([1.0, 3.0, 2.0], [1, 1, 1])
    more = ds.ScoreTable(5, COLUMNS)
    state = table.state()
    more.load({name: np.append(array, np.zeros(2, array.dtype)) for name, array in state.items()})
    counts = select(ds.ReplayPriority(0.0, 1.0, num_draws=10_000), more, 2).counts
    assert counts is not None
    assert np.abs(counts - 10_000 * np.array([2, 6, 3, 6, 6]) / 23).max() <= 1


def test_nothing_known_gives_every_sample_once() -> None:
    for n in (0, 1, 5):
        assert select(ds.ReplayPriority(), ds.ScoreTable(n, COLUMNS), 1) == ds.Selection()


def test_another_signal_and_a_whole_run() -> None:
    sampler = ds.Sampler(30, ds.ReplayPriority(signal="td_error"), batch_size=8, seed=1)
    for epoch in range(4):
        sampler.set_epoch(epoch)
        for index in sampler:
            sampler.observe(index, td_error=index.astype(np.float32))
    assert sampler.table.issued.count.sum() == 90
    assert sampler.table.issued.count.argmax() == 29


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rho": 1.1}, r"rho must be in \[0, 1\], got 1.1"),
        ({"temperature": 0}, r"temperature must be in \(0, inf\), got 0"),
        ({"signal": "issued"}, "signal must be a name other than 'issued', got 'issued'"),
        ({"num_draws": -1}, "num_draws must be in"),
    ],
)
def test_bad_options_are_errors(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ds.ReplayPriority(**options)
