"""Policies select from a table that ranks share what they select from a whole one, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, hidden_rows, select, tables

import dynsample as ds
from dynsample.groups import Group, simulate

COLUMNS = {"loss": ds.Last(), "difficulty": ds.Static(), "reference_loss": ds.Static()}
POLICIES = {
    "order-dp": ds.OrderDP(0.8, 0.5),
    "seta": ds.SeTa(0.1, 4, 0.5, delta=1),
    "curriculum": ds.Curriculum(ds.schedules.linear(0.1, 90)),
    "reducible-loss": ds.ReducibleLoss(0.4),
}


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=25)
@given(tables(COLUMNS), st.integers(2, 4), EPOCHS, SEEDS)
def test_a_shared_table_is_selected_from_as_a_whole_one(name, table, ranks, epoch, seed) -> None:
    def body(group: Group) -> np.ndarray:
        part = ds.ScoreTable(table.num_samples, COLUMNS, group=group)
        rows = slice(*part.bounds)
        part.load({column: array[rows] for column, array in table.state().items()})
        return np.array(hidden_rows(select(POLICIES[name], part, epoch, seed)), int) + rows.start

    found = np.concatenate(simulate(ranks, body))
    assert found.tolist() == hidden_rows(select(POLICIES[name], table, epoch, seed))
