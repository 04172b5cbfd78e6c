"""Columns that only `set_column` sets: they make nothing known, and no observation changes them."""

from __future__ import annotations

import numpy as np
import pytest

import dynsample as ds
from dynsample.table.columns import signals_of

NAN, INF = np.nan, np.inf


def test_it_is_nan_until_it_is_set_and_makes_no_row_seen_or_known() -> None:
    table = ds.ScoreTable(3, {"loss": ds.Last(), "difficulty": ds.Static()})
    assert np.isnan(table["difficulty"]).all()
    table.set_column("difficulty", [3.0, NAN, 1.0])
    np.testing.assert_array_equal(table["difficulty"], np.float32([3, NAN, 1]))
    assert not table.seen.any()
    assert not table.known.any()
    assert not table.hide_lowest(table["difficulty"], 3).any()
    table.observe(np.array([1]), loss=np.float32([2]))
    np.testing.assert_array_equal(table.known, [False, True, False])
    np.testing.assert_array_equal(table["difficulty"], np.float32([3, NAN, 1]))
    table.set_column("difficulty", [0.0, 0.0, 5.0])
    np.testing.assert_array_equal(table["difficulty"], [0, 0, 5])


def test_no_signal_is_asked_for_it() -> None:
    columns = {"loss": ds.Last(), "mean": ds.Mean(signal="el2n"), "difficulty": ds.Static()}
    assert signals_of(columns) == ["el2n", "loss"]
    assert not ds.Static().takes(0)
    table = ds.ScoreTable(3, {"difficulty": ds.Static()})
    table.observe(np.array([1]), difficulty=np.float32([2]))  # as other signals nobody reads
    assert np.isnan(table["difficulty"]).all()
    np.testing.assert_array_equal(table.seen, [False, True, False])


def test_it_has_no_parameters() -> None:
    assert ds.Static() == ds.Static()
    assert repr(ds.Static()) == "Static()"
    for name in ("signal", "until"):
        with pytest.raises(TypeError, match=name):
            ds.Static(**{name: None})


def test_what_was_not_set_is_named_with_what_sets_it() -> None:
    table = ds.ScoreTable(3, {"difficulty": ds.Static()})
    for values in (None, [NAN, INF, NAN]):
        if values is not None:
            table.set_column("difficulty", values)
        message = r"column 'difficulty' .* set it with table.set_column\('difficulty', values\)"
        with pytest.raises(ValueError, match=message):
            table.imported("difficulty")
    table.set_column("difficulty", [NAN, NAN, 1])
    np.testing.assert_array_equal(table.imported("difficulty"), table["difficulty"])
    assert ds.ScoreTable(0, {"difficulty": ds.Static()}).imported("difficulty").shape == (0,)
