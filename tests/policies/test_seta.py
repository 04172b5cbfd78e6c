"""SeTa."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, kept_of, select, table_of, tables

import dynsample as ds

COLUMNS = ds.SeTa(delta=1).columns


@st.composite
def policies(draw: st.DrawFn) -> ds.SeTa:
    num_group, window_scale = draw(st.integers(1, 12)), draw(st.floats(0.05, 1))
    assume(round(num_group * window_scale))
    ratio, delta = draw(st.floats(0, 0.9)), draw(st.sampled_from([0.0, 0.5, 1.0]))
    return ds.SeTa(ratio, num_group, window_scale, delta, epochs=60)


@given(policies(), tables(COLUMNS), EPOCHS, SEEDS)
def test_it_is_its_oracle(policy, table, epoch, seed) -> None:
    selection = check(policy, table, epoch, seed)
    assert selection.weights is None
    assert table.num_samples - len(hidden_rows(selection)) <= policy.keep_ratio * table.num_samples


@given(policies(), st.integers(1, 200))
def test_the_window_slides_over_all_its_places_in_turn(policy, epoch) -> None:
    first, end = policy.window(epoch)
    assert 0 <= first < end <= policy.num_group
    assert end - first == round(policy.num_group * policy.window_scale)
    after = policy.window(epoch + 1)[0]
    assert after == (first + 1 if end < policy.num_group else 0)
    assert policy.window(0) == (0, policy.num_group)


# What the published code kept, epoch by epoch, of 15 samples whose losses are in five clusters:
# there its k-means and ours find the same strata. Its random subset, where there is one, beside it.
LOSSES = [1.0, 3.1, 4.9, 2.0, 5.0, 1.1, 4.0, 2.9, 3.0, 5.1, 0.9, 2.1, 4.1, 1.9, 3.9]
ALL = list(range(15))
FIVE_IN_TWO = [
    ALL, [1, 3, 7, 8, 11, 13], [1, 6, 7, 8, 12, 14], [2, 4, 6, 9, 12, 14], [0, 3, 5, 10, 11, 13],
    [1, 3, 7, 8, 11, 13], [1, 6, 7, 8, 12, 14], ALL,
]  # fmt: skip
EASY, HARD = [0, 1, 3, 5, 6, 7, 8, 10, 11, 12, 13, 14], [1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14]
OF_SUBSETS = [
    ([0, 1, 2, 3, 5, 6, 7, 9, 11, 12, 13, 14], [0, 1, 2, 3, 5, 6, 7, 9, 11, 12, 13, 14]),
    ([0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 14], [1, 3, 7, 11, 12, 14]),
    ([0, 1, 2, 3, 5, 7, 8, 10, 11, 12, 13, 14], [1, 2, 7, 8, 12, 14]),
    ([1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 14], [1, 3, 5, 7, 8, 10, 11, 13]),
    ([1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 14], [1, 3, 6, 8, 11, 12, 13, 14]),
    ([0, 1, 2, 4, 6, 7, 8, 9, 10, 11, 13, 14], [1, 2, 4, 6, 7, 8, 9, 14]),
    ([0, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 14], [0, 3, 7, 8, 10, 11]),
    ([0, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13, 14], [0, 2, 3, 5, 6, 7, 9, 10, 11, 12, 13, 14]),
]
PUBLISHED = {
    "round(2.5) is 2": (ds.SeTa(0, 5, 0.5, epochs=8), [(ALL, kept) for kept in FIVE_IN_TWO]),
    "two places": (
        ds.SeTa(0, 5, 0.9, epochs=8), [(ALL, each) for each in (ALL, *[HARD, EASY] * 3, ALL)],
    ),
    "of random subsets": (ds.SeTa(0.2, 5, 0.6, epochs=8), OF_SUBSETS),
}  # fmt: skip


@pytest.mark.parametrize("case", PUBLISHED)
def test_it_keeps_what_the_published_code_keeps(case: str) -> None:
    policy, epochs = PUBLISHED[case]
    table = table_of(COLUMNS, loss=LOSSES)
    for epoch, (subset, kept) in enumerate(epochs):
        assert kept_of(policy, table, subset, epoch) == kept


def test_it_keeps_as_many_equal_losses_as_the_published_code() -> None:
    table, policy = table_of(COLUMNS, loss=[2.0] * 40), ds.SeTa(0.5, epochs=8)
    kept = [40 - len(hidden_rows(select(policy, table, e))) for e in range(8)]
    assert kept == [20, 10, 10, 10, 10, 10, 10, 20]


def test_strata_of_losses_that_lie_evenly_have_equal_widths() -> None:
    losses = [0, 1, 2, 3, 4, 5, 6, 7, 8]  # four strata: [0, 2), [2, 4), [4, 6), [6, 8]
    table, policy = table_of(COLUMNS, loss=losses), ds.SeTa(0, 4, 0.5, delta=1)
    kept = [np.flatnonzero(~select(policy, table, e).hidden).tolist() for e in range(5)]
    assert kept == [losses, [2, 3, 4, 5], [4, 5, 6, 7, 8], [0, 1, 2, 3], [2, 3, 4, 5]]


def test_strata_follow_where_losses_are_dense() -> None:
    losses = [0.0, 0.1, 0.2, 1.5, 1.6, 1.7, 4.0]
    table, policy = table_of(COLUMNS, loss=losses), ds.SeTa(0, 3, 0.34, delta=1)
    kept = [np.flatnonzero(~select(policy, table, e).hidden).tolist() for e in (3, 1, 2)]
    assert kept == [[0, 1, 2], [3, 4, 5], [6]]


def test_of_equal_losses_a_random_share_is_in_the_window() -> None:
    table, policy = table_of(COLUMNS, loss=[2.0] * 40), ds.SeTa(0.5, 10, 0.5, delta=1)
    kept = [frozenset(np.flatnonzero(~select(policy, table, e).hidden)) for e in range(9)]
    assert [len(each) for each in kept] == [20] + [10] * 8
    assert len(set(kept)) == 9


def test_a_window_without_samples_leaves_the_subset_whole() -> None:
    table, policy = table_of(COLUMNS, loss=[1, 1, 5, 1, 1, 5]), ds.SeTa(0, 3, 0.34, delta=1)
    assert [hidden_rows(select(policy, table, e)) for e in (3, 1, 2)] == [[], [2, 5], [0, 1, 3, 4]]


def test_fewer_losses_than_strata_are_not_cut() -> None:
    table, policy = table_of(COLUMNS, loss=[1, 2, 3, 4]), ds.SeTa(0, 5, 0.5, delta=1)
    assert [hidden_rows(select(policy, table, e)) for e in range(5)] == [[]] * 5


def test_what_cannot_be_compared_is_kept_within_the_subset() -> None:
    table = ds.ScoreTable(8, COLUMNS)
    table.observe(np.arange(6), loss=np.float32([1, 2, np.nan, np.inf, 3, -np.inf]))
    policy = ds.SeTa(0, 2, 0.5, delta=1)
    assert hidden_rows(select(policy, table, 1)) == [0]
    assert hidden_rows(select(policy, table, 2)) == [1, 4]


def test_the_last_epochs_hold_the_random_subset() -> None:
    table, policy = table_of(COLUMNS, loss=np.arange(100)), ds.SeTa(0.1, epochs=9)
    assert [len(hidden_rows(select(policy, table, e))) for e in (0, 7, 8)] == [10, 10, 10]
    assert len(hidden_rows(select(policy, table, 6))) > 10  # int(0.875 * 9) = 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prune_ratio": 0.95}, r"prune_ratio must be in \[0, 0.9\], got 0.95"),
        ({"num_group": 0}, r"num_group must be in \[1, "),
        ({"window_scale": 0}, r"window_scale must be in \(0, 1\], got 0"),
        ({"num_group": 1}, r"window_scale must give a window of at least one .* got 0.5"),
        ({"delta": 2}, r"delta must be in \[0, 1\], got 2"),
        ({"epochs": None}, "epochs must be given when delta is below 1"),
    ],
)
def test_bad_options_are_errors(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        ds.SeTa(**{"epochs": 9, **options})
