"""InfoBatch."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select, table_of, tables

import dynsample as ds

COLUMNS = ds.InfoBatch(epochs=1).columns


@given(st.floats(0, 1, exclude_max=True), tables(COLUMNS), EPOCHS, SEEDS)
def test_it_is_its_oracle(ratio, table, epoch, seed) -> None:
    selection = check(ds.InfoBatch(ratio, delta=1.0), table, epoch, seed)
    assert selection.hidden is None or not (selection.hidden & ~table.seen).any()
    check(ds.InfoBatch(ratio, epochs=60), table, epoch, seed)


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.9])
def test_the_expected_weighted_sum_of_losses_is_their_sum(ratio: float) -> None:
    losses = np.array([1, 2, 3, 4, 5, 60, 70])
    policy, table = ds.InfoBatch(ratio, delta=1.0), table_of(COLUMNS, loss=losses)
    well, kept = [0, 1, 2, 3, 4], int((1 - ratio) * 5)
    if kept == 0:
        assert select(policy, table, 0).hidden is None
        return
    # Every subset of `kept` must be equally likely; with equal weights the expectation is exact.
    sums = []
    for subset in combinations(well, kept):
        rows = [*subset, 5, 6]
        weights = select(policy, table, 0).weights
        assert weights is not None
        sums.append((weights[rows].astype(float) * losses[rows]).sum())
    assert np.mean(sums) == pytest.approx(losses.sum(), rel=1e-6)
    seen = {}
    for seed in range(400):
        hidden = tuple(hidden_rows(select(policy, table, 0, seed)))
        assert len(hidden) == 5 - kept
        assert set(hidden) <= set(well)
        seen[hidden] = seen.get(hidden, 0) + 1
    share = 1 / len(sums)
    bound = 6 * np.sqrt(400 * share * (1 - share))
    assert len(seen) == len(sums)
    assert max(abs(count - 400 * share) for count in seen.values()) < bound


def test_pruning_stops_and_weights_with_it() -> None:
    table = table_of(COLUMNS, loss=[1, 1, 1, 9])
    policy = ds.InfoBatch(epochs=9)  # int(0.875 * 9) = 7
    assert select(policy, table, 6).weights is not None
    for epoch in (7, 8, 9):
        assert select(policy, table, epoch) == ds.Selection()


def test_equal_losses_are_not_below_their_mean() -> None:
    table = table_of(COLUMNS, loss=[0.1] * 1000)
    assert select(ds.InfoBatch(delta=1.0), table, 1).hidden is None


def test_one_nan_does_not_stop_the_pruning() -> None:
    table = table_of(COLUMNS, loss=[1, 1, 9, np.nan])
    selection = select(ds.InfoBatch(delta=1.0), table, 1)
    assert len(hidden_rows(selection)) == 1
    assert selection.weights is not None
    assert selection.weights.tolist() == [2, 2, 1, 1]


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="epochs must be given when delta is below 1"):
        ds.InfoBatch()
    with pytest.raises(ValueError, match=r"ratio must be in \[0, 1\), got 1"):
        ds.InfoBatch(ratio=1, epochs=1)
    with pytest.raises(ValueError, match=r"delta must be in \[0, 1\], got 1.1"):
        ds.InfoBatch(delta=1.1)
