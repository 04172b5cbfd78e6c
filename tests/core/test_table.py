"""The score table: content, reductions over seen and finite rows, state."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample.reference.fold import of_every_kind
from dynsample.table.columns import EMA, Column, Last, Mean, Transitions, Window

NAN, INF = math.nan, math.inf
R = ds.EpochRandom(seed=5, epoch=2)


def table_of(loss: list[float], seen: list[int] | None = None) -> ds.ScoreTable:
    table = ds.ScoreTable(len(loss), {"loss": Last()})
    rows = np.arange(len(loss)) if seen is None else np.array(seen, np.int64)
    table.observe(rows, loss=np.array(loss, np.float32)[rows])
    return table


def test_observe_folds_at_once_and_marks_rows_as_seen() -> None:
    table = ds.ScoreTable(4, {"loss": Last(), "average": EMA(0.5, signal="loss")})
    table.observe(np.array([2, 0]), loss=np.float32([1, 3]))
    table.observe(np.array([2]), loss=np.float32([2]))
    np.testing.assert_array_equal(table["loss"], np.float32([3, NAN, 2, NAN]))
    np.testing.assert_array_equal(table["average"], np.float32([3, NAN, 1.5, NAN]))
    np.testing.assert_array_equal(table.seen, [True, False, True, False])


def test_what_was_never_observed_is_nan_in_every_kind_of_column() -> None:
    table = ds.ScoreTable(2, of_every_kind("x", 3))
    table.observe(np.array([0]), x=np.float32([1]))
    for name in table:
        assert np.isnan(table[name][1]), name


def test_an_unknown_column_is_an_error_that_names_the_known() -> None:
    with pytest.raises(KeyError, match="no column 'los'; the table has 'loss'"):
        table_of([1])["los"]
    with pytest.raises(KeyError, match="no part loss/vale; the table has loss/value"):
        table_of([1]).part("loss", "vale")


def test_values_cannot_be_written_through() -> None:
    table = table_of([1, 2])
    for array in (table["loss"], table.part("loss", "value"), *table.state().values()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_bad_batch_leaves_the_table_as_it_was() -> None:
    table = table_of([1, 2], seen=[0])
    before = {name: array.copy() for name, array in table.state().items()}
    with pytest.raises(IndexError):
        table.observe(np.array([1, 2]), loss=np.float32([5, 5]))
    with pytest.raises(ValueError, match="loss"):
        table.observe(np.array([1]), los=np.float32([5]))
    table.observe(np.array([], np.int64), loss=np.float32([]))
    for name, array in table.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_until_stops_a_column_at_its_epoch() -> None:
    table = ds.ScoreTable(1, {"loss": Last(until=2)})
    for epoch in range(4):
        table.observe(np.array([0]), epoch=epoch, loss=np.float32([epoch]))
    assert table["loss"][0] == 1


def test_a_subset_is_addressed_by_ids_of_the_data_set() -> None:
    table = ds.ScoreTable(3, {"loss": Last()}, index=np.array([4, 7, 9]))
    table.observe(np.array([9, 4]), loss=np.float32([1, 2]))
    np.testing.assert_array_equal(table["loss"], np.float32([2, NAN, 1]))
    np.testing.assert_array_equal(table.index, [4, 7, 9])
    np.testing.assert_array_equal(table.rows(np.arange(10, dtype=np.float32)), [4, 7, 9])
    with pytest.raises(ValueError, match=r"id 5 .* was not issued"):
        table.observe(np.array([5]), loss=np.float32([1]))
    with pytest.raises(ValueError, match="every sample of the data set"):
        table.rows(np.zeros(9, np.float32))


def test_imported_scores_are_known_and_not_seen_and_need_no_observations() -> None:
    table = ds.ScoreTable(3, {"loss": Last(), "mean": Mean(signal="loss")})
    table.set_column("el2n", np.float32([3, 1, NAN]))
    assert table.known.all()
    assert not table.seen.any()
    np.testing.assert_array_equal(table.hide_lowest(table["el2n"], 3), [True, True, False])
    assert not table.hide_lowest(table["loss"], 3).any(), "imported, but no loss was observed"
    table.observe(np.array([0]), loss=np.float32([1]))
    table.set_column("mean", np.float32([4, 5, 6]))
    np.testing.assert_array_equal(table["mean"], [4, 5, 6])
    table.set_column("el2n", np.float32([0, 0, 0]))
    np.testing.assert_array_equal(table["el2n"], [0, 0, 0])


@pytest.mark.parametrize("name", of_every_kind("x", 3))
def test_imported_scores_are_the_values_of_a_column_or_refused(name: str) -> None:
    table = ds.ScoreTable(3, of_every_kind("x", 3))
    before = {part: array.copy() for part, array in table.state().items()}
    values = np.float32([0.1, -INF, NAN])
    if type(table.columns[name]).set_values is Column.set_values:
        with pytest.raises(TypeError, match="can be set"):
            table.set_column(name, values)
        for part, array in table.state().items():
            np.testing.assert_array_equal(array, before[part])
    else:
        table.set_column(name, values)
        np.testing.assert_array_equal(table[name], values)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: t.set_column("x", np.zeros(2, np.float32)), ValueError, "3 entries, got 2"),
        (lambda t: t.set_column("x", np.zeros(3) * 1j), TypeError, "got dtype complex128"),
        (lambda t: t.set_column("a/b", np.zeros(3, np.float32)), ValueError, "without '/'"),
        (lambda t: t.set_column("seen", np.zeros(3, np.float32)), ValueError, "not 'seen'"),
        (lambda t: t.set_column("known", np.zeros(3, np.float32)), ValueError, "or 'known'"),
        (
            lambda t: t.set_column("w", np.zeros(3, np.float32)),
            TypeError,
            "such as Last or Mean, got Win",
        ),
        (lambda t: ds.ScoreTable(-1, {}), ValueError, "num_samples must be in"),
        (lambda t: ds.ScoreTable(2**32, {}), ValueError, "num_samples must be in"),
        (lambda t: ds.ScoreTable(1, {"x": "last"}), TypeError, "must be a Column, got str"),
        (lambda t: ds.ScoreTable(2, {}, index=np.array([1, 1])), ValueError, "ascending"),
        (lambda t: ds.ScoreTable(2, {}, index=np.array([1])), ValueError, "2 entries, got 1"),
        (lambda t: ds.ScoreTable(1, {}, index=np.array([-1])), IndexError, "-1"),
    ],
)
def test_bad_input_is_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call(ds.ScoreTable(3, {"w": Window(signal="loss")}))


def test_reductions_leave_out_unseen_and_non_finite_rows() -> None:
    table = table_of([1, NAN, 3, INF, -INF, 0.5, 2], seen=[0, 1, 2, 3, 4, 6])
    loss = np.float32([1, NAN, 3, INF, -INF, 0.5, 2])
    np.testing.assert_array_equal(np.flatnonzero(table.hide_lowest(loss, 9)), [0, 2, 6])
    np.testing.assert_array_equal(np.flatnonzero(table.hide_lowest(loss, 2)), [0, 6])
    eligible = np.array([False, True, True, True, True, True, True])
    np.testing.assert_array_equal(np.flatnonzero(table.hide_lowest(loss, 2, eligible)), [2, 6])
    assert table.exact_mean(loss) == 2
    assert table.exact_mean(loss, eligible) == 2.5
    assert table.min_max(loss) == (1, 3)
    np.testing.assert_array_equal(np.flatnonzero(table.below(loss, 2.0)), [0])
    kept = table.cdf_bernoulli(loss, 50.0, R)
    assert kept[[1, 3, 4, 5]].all()
    assert kept[2], "the highest is kept with probability 1"


def test_nothing_seen_gives_nothing_to_go_by() -> None:
    table = ds.ScoreTable(3, {"loss": Last()})
    loss = np.float32([1, 2, 3])
    assert not table.hide_lowest(loss, 3).any()
    assert math.isnan(table.exact_mean(loss))
    assert all(math.isnan(end) for end in table.min_max(loss))
    assert not table.below(loss, 9.0).any()
    assert not table.below(loss, NAN).any()
    assert table.cdf_bernoulli(loss, 50.0, R).all()
    draw = table.draw(table["loss"], 3, R, replacement=False)
    assert draw.mask is not None
    assert draw.mask.all()


NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, NAN, INF, -INF])


@given(st.lists(NUMBERS, max_size=200), NUMBERS, st.booleans())
def test_below_marks_what_is_known_finite_and_less(
    rows: list[float], bound: float, all_known: bool
) -> None:
    table = ds.ScoreTable(len(rows), {})
    table.seen[:] = all_known | (np.arange(len(rows)) % 3 > 0)
    values = np.array(rows, np.float32)
    expected = (values < bound) & np.isfinite(values) & table.seen
    np.testing.assert_array_equal(table.below(values, bound), expected)


def test_below_compares_with_the_double_and_not_its_float32() -> None:
    table = table_of([1.0, np.nextafter(np.float32(1), np.float32(2))])
    assert table.below(table["loss"], 1.0 + 2**-40).tolist() == [True, False]
    assert table.below(table["loss"], 1.0 - 2**-40).tolist() == [False, False]
    assert table.below(table["loss"], 1.0).tolist() == [False, False]
    assert table.below(table["loss"], 1e300).all()
    assert not table.below(table["loss"], -1e300).any()


def test_unseen_and_non_finite_rows_are_drawn_with_the_largest_probability() -> None:
    table = table_of([1, 4, NAN, 1, INF], seen=[0, 1, 2, 4])
    draw = table.draw(table["loss"], 1700, R, replacement=True)
    assert draw.counts is not None
    assert draw.mask is None
    np.testing.assert_array_equal(draw.counts, [100, 400, 400, 400, 400])
    np.testing.assert_allclose(
        draw.inverse_probabilities, np.float32([17, 4.25, 4.25, 4.25, 4.25]) / 5, rtol=1e-6
    )
    known = np.ones(5, np.bool_)
    counts = table.draw(np.float32([1, 0, 1, 1, 1]), 400, R, replacement=True, known=known).counts
    np.testing.assert_array_equal(counts, [100, 0, 100, 100, 100])


def test_sample_marks_exactly_k_of_the_rows_asked_for() -> None:
    table = ds.ScoreTable(50, {})
    where = np.arange(50) % 2 == 0
    for k in (0, 1, 25):
        mask = table.sample(k, R, where)
        assert mask.sum() == k
        assert not (mask & ~where).any()
    assert table.sample(50, R).all()


@given(st.integers(0, 3000), st.data())
def test_a_sample_is_a_draw_with_equal_probabilities(n: int, data: st.DataObject) -> None:
    table = ds.ScoreTable(n, {})
    where = np.random.default_rng(n).random(n) < data.draw(st.floats(0, 1))
    k = data.draw(st.integers(0, int(where.sum())))
    expected = ds.ops.draw_mask(where.astype(np.float32), k, seed=R.seed, epoch=R.epoch)
    np.testing.assert_array_equal(table.sample(k, R, where), expected)


def test_a_sample_of_more_rows_than_there_are_is_refused() -> None:
    table = ds.ScoreTable(10, {})
    with pytest.raises(ValueError, match="rows to draw from, 3, got 4"):
        table.sample(4, R, np.arange(10) < 3)
    with pytest.raises(ValueError, match="rows to draw from, 10, got 11"):
        table.sample(11, R)


def test_walk_goes_around_one_permutation() -> None:
    table = ds.ScoreTable(10, {})
    first, second = table.walk(0, 6, R), table.walk(6, 4, R)
    np.testing.assert_array_equal(first, ~second)
    np.testing.assert_array_equal(table.walk(16, 4, R), second)
    np.testing.assert_array_equal(table.walk(8, 8, R), ~table.walk(6, 2, R))
    assert table.walk(3, 10, R).all()
    assert not table.walk(3, 0, R).any()
    assert ds.ScoreTable(0, {}).walk(3, 0, R).shape == (0,)


def test_choose_power_and_count() -> None:
    table = table_of([1, 2])
    np.testing.assert_array_equal(table.choose(table["loss"] > 1, 2.5, 1), np.float32([1, 2.5]))
    np.testing.assert_array_equal(table.power(np.float32([0, 1, 4]), 0.5), [0, 1, 2])
    assert table.count(table["loss"] > 1) == 1


def test_state_is_flat_and_round_trips_with_imported_columns() -> None:
    table = ds.ScoreTable(3, {"loss": Last(), "forgetting": Transitions(signal="correct")})
    table.observe(np.array([1]), loss=np.float32([2]), correct=np.float32([1]))
    table.set_column("el2n", np.float32([1, 2, 3]))
    state = {name: array.copy() for name, array in table.state().items()}
    assert {"loss/value", "forgetting/transitions", "el2n/value", "seen"} <= state.keys()
    other = ds.ScoreTable(3, table.columns)
    other.load(state)
    assert other.state().keys() == state.keys()
    for name, array in other.state().items():
        np.testing.assert_array_equal(array, state[name])
    state["loss/value"][0] = 99
    state["el2n/value"][0] = 99
    assert np.isnan(other["loss"][0])
    assert other["el2n"][0] == 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("seen"), ValueError, r"lacks \['seen'\]"),
        (lambda s: s.update({"x": s["seen"]}), ValueError, r"unknown \['x'\]"),
        (lambda s: s.update({"loss/value": np.zeros(3)}), TypeError, "float32, got float64"),
        (
            lambda s: s.update({"seen": np.ones(2, np.bool_)}),
            ValueError,
            r"shape \(3,\), got \(2,\)",
        ),
        (lambda s: s.update({"x/value": np.zeros(2, np.float32)}), ValueError, "shape"),
        (lambda s: s.update({"x/y/value": np.zeros(3, np.float32)}), ValueError, "without '/'"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, error, message) -> None:
    table = table_of([1, 2, 3])
    state = {name: array.copy() for name, array in table_of([4, 5, 6]).state().items()}
    change(state)
    with pytest.raises(error, match=message):
        table.load(state)
    np.testing.assert_array_equal(table["loss"], [1, 2, 3])


def test_tables_of_no_rows_and_one_row_work() -> None:
    for n in (0, 1):
        table = ds.ScoreTable(n, {"loss": Last()})
        table.observe(np.arange(n), loss=np.ones(n, np.float32))
        assert table.count(table.hide_lowest(table["loss"], 1)) == n
        assert table.draw(table["loss"], n, R, replacement=True).counts.tolist() == [1] * n
        assert table.sample(n, R).tolist() == [True] * n


def test_what_was_imported_is_known_after_a_load_and_in_an_old_state_what_was_seen_is() -> None:
    table = ds.ScoreTable(3, {"loss": Last()})
    table.observe(np.array([1]), loss=np.float32([2]))
    assert "known" not in table.state()
    table.set_column("el2n", np.float32([3, 1, 2]))
    loaded = ds.ScoreTable(3, {"loss": Last()})
    loaded.load(table.state())
    assert loaded.known.all()
    np.testing.assert_array_equal(loaded.seen, [False, True, False])
    old = {name: array for name, array in table.state().items() if name != "known"}
    loaded.load(old)
    np.testing.assert_array_equal(loaded.known, [False, True, False])
