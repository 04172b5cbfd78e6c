"""OrderDP."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, kept_of, select, table_of, tables

import dynsample as ds

COLUMNS = ds.OrderDP().columns
RATIOS = st.floats(0, 1, exclude_min=True)


@given(RATIOS, RATIOS, tables(COLUMNS), EPOCHS, SEEDS)
def test_it_is_its_oracle(random_len_ratio, top_q_ratio, table, epoch, seed) -> None:
    selection = check(ds.OrderDP(random_len_ratio, top_q_ratio), table, epoch, seed)
    assert selection.weights is None
    size = int(random_len_ratio * table.num_samples)
    kept = table.num_samples - len(hidden_rows(selection))
    assert int(top_q_ratio * size) <= kept <= size


def test_the_highest_losses_are_kept_of_a_subset_that_is_everything() -> None:
    table = table_of(COLUMNS, loss=[0.5, 3, 3, 0.5, 9, 0])
    policy = ds.OrderDP(random_len_ratio=1, top_q_ratio=0.7)  # int(0.7 * 6) = 4
    for epoch in range(3):
        assert hidden_rows(select(policy, table, epoch)) == [0, 5], "of equals the smaller index"


# What the published code kept of 13 samples with these losses: ratios, its random subset, the rows.
LOSSES = [0.9, 0.1, 2.2, 0.4, 3.1, 1.7, 0.2, 0.8, 2.9, 1.1, 0.3, 0.6, 1.3]
PUBLISHED = [
    (1, 0.5, range(13), [2, 4, 5, 8, 9, 12]),
    (0.75, 0.85, [0, 1, 2, 3, 4, 6, 7, 10, 12], [0, 2, 3, 4, 7, 10, 12]),
    (0.75, 0.85, [0, 1, 3, 4, 5, 7, 9, 10, 11], [0, 3, 4, 5, 7, 9, 11]),
    (0.75, 0.85, [0, 2, 3, 4, 6, 8, 9, 11, 12], [0, 2, 4, 8, 9, 11, 12]),
    (0.8, 0.375, [0, 1, 2, 3, 4, 6, 7, 9, 10, 12], [2, 4, 12]),
    (0.8, 0.375, [0, 1, 2, 3, 4, 5, 7, 9, 10, 11], [2, 4, 5]),
    (0.8, 0.375, [0, 1, 2, 4, 5, 7, 8, 9, 10, 12], [2, 4, 8]),  # its code for ImageNet
]


@pytest.mark.parametrize(("random_len_ratio", "top_q_ratio", "subset", "kept"), PUBLISHED)
def test_it_keeps_what_the_published_code_keeps(
    random_len_ratio, top_q_ratio, subset, kept
) -> None:
    policy, table = ds.OrderDP(random_len_ratio, top_q_ratio), table_of(COLUMNS, loss=LOSSES)
    for epoch in (0, 5, 90):  # also behind the delta that it takes and does not use
        assert kept_of(policy, table, subset, epoch) == kept


def test_subsets_differ_and_are_evenly_drawn() -> None:
    table = table_of(COLUMNS, loss=np.arange(20) % 5)
    policy = ds.OrderDP(0.5, 1)
    times = np.zeros(20)
    for epoch in range(1000):
        times[hidden_rows(select(policy, table, epoch))] += 1
    assert np.abs(times - 500).max() < 6 * np.sqrt(250)


def test_what_cannot_be_compared_is_kept_within_the_subset() -> None:
    table = ds.ScoreTable(8, COLUMNS)
    table.observe(np.arange(6), loss=np.float32([1, 2, np.nan, np.inf, 3, 4]))
    assert hidden_rows(select(ds.OrderDP(1, 0.5), table, 1)) == [0, 1, 4, 5]
    assert hidden_rows(select(ds.OrderDP(1, 0.5), ds.ScoreTable(8, COLUMNS), 0)) == []


@pytest.mark.parametrize("name", ["random_len_ratio", "top_q_ratio"])
@pytest.mark.parametrize("value", [0, 1.5, -0.1, np.nan])
def test_a_ratio_out_of_range_is_an_error(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be in \(0, 1\], got"):
        ds.OrderDP(**{name: value})
