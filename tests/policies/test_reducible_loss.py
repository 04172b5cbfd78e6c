"""RHO-LOSS, once an epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select, tables

import dynsample as ds

COLUMNS = ds.ReducibleLoss().columns


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 4), tables(COLUMNS), EPOCHS, SEEDS)
def test_it_is_its_oracle(fraction, refresh_every, table, epoch, seed) -> None:
    selection = check(ds.ReducibleLoss(fraction, refresh_every), table, epoch, seed)
    assert not (selection.hidden & ~table.seen).any()
    assert len(hidden_rows(selection)) <= int(fraction * table.num_samples)


def test_what_is_learned_and_what_cannot_be_is_hidden_alike() -> None:
    table = ds.ScoreTable(6, COLUMNS)
    table.set_column("reference_loss", [0.1, 3.0, 0.5, 0.5, np.nan, 0])
    table.observe(np.arange(5), loss=np.float32([0.1, 3.0, 2.0, 2.0, 0]))
    # Learned, noise, worth learning twice, and two of which nothing can be said.
    assert hidden_rows(select(ds.ReducibleLoss(0.4), table, 1)) == [0, 1]
    assert hidden_rows(select(ds.ReducibleLoss(0.5), table, 1)) == [0, 1, 2]
    assert hidden_rows(select(ds.ReducibleLoss(0.9), table, 1)) == [0, 1, 2, 3]


def test_refresh_is_due_every_so_many_epochs() -> None:
    table = ds.ScoreTable(1, COLUMNS)
    table.set_column("reference_loss", [1])
    due = [select(ds.ReducibleLoss(refresh_every=3), table, e).refresh for e in range(5)]
    assert due == [True, False, False, True, False]


def test_a_reference_that_was_not_set_is_named() -> None:
    with pytest.raises(ValueError, match=r"column 'reference_loss' .* table.set_column\('refer"):
        select(ds.ReducibleLoss(), ds.ScoreTable(2, COLUMNS), 0)


def test_bad_options_are_errors() -> None:
    with pytest.raises(ValueError, match=r"fraction must be in \[0, 1\), got 1"):
        ds.ReducibleLoss(1)
    with pytest.raises(ValueError, match=r"refresh_every must be in \[1, "):
        ds.ReducibleLoss(refresh_every=0)
