"""Tables of every awkward kind, and the comparison of a policy with its oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import strategies as st

import dynsample as ds
from dynsample.reference.policies import expect
from dynsample.table.columns import Column, Lags, Static, Transitions

LOSSES = st.one_of(
    st.sampled_from([0.0, -0.0, 0.25, 0.25, 1.0, 3.0, np.nan, np.inf]),
    st.floats(0, 2.0**100, width=32),
)
CHOICES = {
    "loss": LOSSES,
    "correct": st.sampled_from([0.0, 1.0]),
    "confidence": st.sampled_from([0.2, 0.7, 0.7, 0.9, np.nan]),
}
GIVEN = LOSSES | st.floats(-4, 4, width=32)  # for a column that is not observed
SEEDS = st.integers(0, 2**64 - 1)
EPOCHS = st.integers(0, 100)


@st.composite
def tables(draw: st.DrawFn, columns: Mapping[str, Column], max_rows: int = 30) -> ds.ScoreTable:
    """Tables of up to `max_rows` rows: tied, NaN, infinite, seen several times or never."""
    n = draw(st.integers(0, max_rows))
    table = ds.ScoreTable(n, columns)
    several = {Transitions: 4, Lags: 6}
    rounds = max(several.get(type(column), 1) for column in columns.values())
    for _ in range(rounds):
        rows = np.flatnonzero(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
        signals = {
            name: draw(st.lists(values, min_size=len(rows), max_size=len(rows)))
            for name, values in CHOICES.items()
        }
        table.observe(rows, **{name: np.array(v, np.float32) for name, v in signals.items()})
    for name, column in columns.items():
        if isinstance(column, Static):
            values = st.lists(GIVEN, min_size=n, max_size=n)
            table.set_column(name, draw(values.filter(lambda v: not v or np.isfinite(v).any())))
    return table


def table_of(columns: Mapping[str, Column], **signals: Sequence[float]) -> ds.ScoreTable:
    """Make a table with these values observed in all rows."""
    n = len(next(iter(signals.values())))
    table = ds.ScoreTable(n, columns)
    table.observe(np.arange(n), **{k: np.array(v, np.float32) for k, v in signals.items()})
    return table


def select(policy: ds.Policy, table: ds.ScoreTable, epoch: int, seed: int = 0) -> ds.Selection:
    """Select with the randomness of (seed, epoch)."""
    return policy.select(table, epoch, ds.EpochRandom(seed, epoch))


def kept_of(
    policy: ds.Policy, table: ds.ScoreTable, subset: Sequence[int], epoch: int, seed: int = 0
) -> list[int]:
    """Rows that a policy keeps which draws this subset, whatever its own random one is."""
    drawn = np.isin(np.arange(table.num_samples), subset)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "sample", lambda k, random: drawn if k == len(subset) else None)
        hidden = select(policy, table, epoch, seed).hidden
    assert hidden is not None
    return np.flatnonzero(~hidden).tolist()


def hidden_rows(selection: ds.Selection) -> list[int]:
    """Rows that a selection hides."""
    return [] if selection.hidden is None else np.flatnonzero(selection.hidden).tolist()


def check(
    policy: ds.Policy,
    table: ds.ScoreTable,
    epoch: int,
    seed: int,
    groups: np.ndarray | None = None,
) -> ds.Selection:
    """Assert that the policy selects what its oracle says; give what it selected."""
    found = select(policy, table, epoch, seed)
    state = table.state() if groups is None else {**table.state(), "groups": groups}
    expected = expect(policy, state, epoch, seed)
    assert hidden_rows(found) == expected.hidden
    assert (None if found.counts is None else found.counts.tolist()) == expected.counts
    assert (None if found.weights is None else found.weights.tolist()) == expected.weights
    assert found.lr_scale == expected.lr_scale
    assert found.refresh == expected.refresh
    for array, dtype in ((found.hidden, "?"), (found.counts, "u4"), (found.weights, "f4")):
        assert array is None or (array.shape, array.dtype) == ((table.num_samples,), dtype)
    return found


def assert_put_together(parts: Sequence[ds.Selection], whole: ds.Selection) -> None:
    """Check that what ranks selected of their rows is, one after the other, that of all rows."""
    for field in ("hidden", "counts"):
        expected, found = getattr(whole, field), [getattr(part, field) for part in parts]
        if expected is None:
            assert found == [None] * len(parts)
        else:
            np.testing.assert_array_equal(np.concatenate(found), expected)
    assert all(part.stats == whole.stats for part in parts)
