"""Group DRO by sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from group_cases import Grouped, grouped
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, select

import dynsample as ds

COLUMNS = ds.GroupDRO().columns


@given(grouped(COLUMNS), st.sampled_from([1.0, 0.1, 5.0]), st.none() | st.integers(0, 70), EPOCHS,
       SEEDS)  # fmt: skip
def test_it_is_its_oracle(
    case: Grouped, temperature: float, k: int | None, epoch: int, seed: int
) -> None:
    selection = check(ds.GroupDRO(temperature, k), case.table, epoch, seed, case.labels)
    if selection.counts is not None:
        assert selection.counts.sum() == (case.table.num_samples if k is None else k)


def test_groups_are_drawn_by_the_softmax_and_their_samples_alike() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    table = ds.ScoreTable(1000, COLUMNS, groups=labels)
    losses = np.float32([1.0, 2.0, 3.0])[labels] + np.tile([-0.5, 0.5], 500)
    table.observe(np.arange(0, 1000, 1), loss=losses)
    counts = select(ds.GroupDRO(temperature=2.0, num_draws=100_000), table, 1).counts
    assert counts is not None
    shares = np.exp(np.array([1.0, 2.0, 3.0]) / 2)
    expected = 100_000 * (shares / shares.sum() / [600, 300, 100])[labels]
    assert np.abs(counts - expected).max() <= 1.01  # systematic counts are within one


def test_a_sample_that_was_never_seen_is_drawn_as_its_group_is() -> None:
    table = ds.ScoreTable(4, COLUMNS, groups=[0, 0, 1, 1])
    table.observe(np.array([0, 2]), loss=np.float32([0.0, math.log(3)]))
    counts = select(ds.GroupDRO(num_draws=800), table, 1).counts
    assert counts is not None
    assert counts.tolist() == pytest.approx([100, 100, 300, 300], abs=1)


def test_nothing_known_gives_every_sample_once() -> None:
    for n in (0, 1, 5):
        assert select(ds.GroupDRO(), ds.ScoreTable(n, COLUMNS, groups=[0] * n), 1) == ds.Selection()


def test_bad_options_are_errors() -> None:
    with pytest.raises(ValueError, match=r"temperature must be in \(0, inf\), got 0"):
        ds.GroupDRO(temperature=0)
    with pytest.raises(ValueError, match="num_draws must be in"):
        ds.GroupDRO(num_draws=-1)
