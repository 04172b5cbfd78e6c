"""Selective Backprop, once an epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, select, table_of, tables

import dynsample as ds

COLUMNS = ds.SelectiveBackprop().columns


@given(tables(COLUMNS), st.sampled_from([0.43, 1.0, 3.0]), EPOCHS, SEEDS)
def test_it_is_its_oracle_and_hides_only_what_is_seen_and_finite(table, beta, epoch, seed) -> None:
    selection = check(ds.SelectiveBackprop(beta), table, epoch, seed)
    assert selection.hidden is not None
    assert not selection.hidden[~(table.seen & np.isfinite(table["loss"]))].any()
    assert selection.refresh


@pytest.mark.parametrize(("beta", "share"), [(0.43, 0.7), (1, 0.5), (2, 1 / 3), (4, 0.2)])
def test_beta_sets_the_share_that_is_kept(beta: float, share: float) -> None:
    table = table_of(COLUMNS, loss=np.arange(20000))
    hidden = select(ds.SelectiveBackprop(beta), table, 1, seed=3).hidden
    assert hidden is not None
    # Six deviations of at most sqrt(0.25 / 20000), and half a bin of 1 / 1000.
    assert 1 - hidden.mean() == pytest.approx(share, abs=0.022 + 0.001)


def test_equal_losses_are_all_kept() -> None:
    hidden = select(ds.SelectiveBackprop(), table_of(COLUMNS, loss=[2] * 50), 1).hidden
    assert hidden is not None
    assert not hidden.any()


def test_beta_is_checked() -> None:
    with pytest.raises(ValueError, match=r"beta must be in \(0, inf\), got 0"):
        ds.SelectiveBackprop(0)
