"""Policies by groups, and by what was issued, select from shared tables as from whole ones."""

from __future__ import annotations

import pytest
from group_cases import Grouped, grouped
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, assert_put_together, select

import dynsample as ds
from dynsample.groups import Group, simulate

POLICIES = {
    "class-budget": ds.ClassBudget(0.4),
    "group-dro": ds.GroupDRO(0.5),
    "afss": ds.AFSS(0.7, 0.2, 0.5, 0.5, 4, 2, signals=("confidence",)),
    "replay-priority": ds.ReplayPriority(0.3, 0.5),
    "replay-priority without replacement": ds.ReplayPriority(
        0.3, 2, num_draws=1, replacement=False
    ),
}
COLUMNS = {"loss": ds.Last(), "confidence": ds.Last(), "issued": ds.Issued()}


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=25)
@given(grouped(COLUMNS, max_rows=150), st.integers(2, 4), EPOCHS, SEEDS)
def test_a_shared_table_is_selected_from_as_a_whole_one(
    name: str, case: Grouped, ranks: int, epoch: int, seed: int
) -> None:
    table, labels = case
    if not table.num_samples:
        return

    def body(group: Group) -> ds.Selection:
        part = ds.ScoreTable(table.num_samples, COLUMNS, group=group, groups=labels)
        rows = slice(*part.bounds)
        part.load({column: array[rows] for column, array in table.state().items()})
        return select(POLICIES[name], part, epoch, seed)

    whole, parts = select(POLICIES[name], table, epoch, seed), simulate(ranks, body)
    assert_put_together(parts, whole)
