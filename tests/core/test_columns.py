import dataclasses
import itertools

import numpy as np
import pytest

from dynsample import _core
from dynsample.reference.fold import of_every_kind
from dynsample.table.columns import (
    EMA,
    KINDS,
    Column,
    Dual,
    Lags,
    Last,
    Max,
    Mean,
    RunLength,
    Uncertainty,
    Window,
)
from dynsample.table.log import ObservationLog, fold
from dynsample.table.table import ScoreTable

COLUMNS = [kind() for kind in KINDS]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: type(c).__name__)
def test_a_row_never_observed_gives_what_its_kind_says(column: Column):
    value = column.value(column.allocate(3))
    assert value.dtype == np.float32
    assert value.shape == (3,)
    assert (np.isnan(value) == column.nan_until_observed).all()


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: type(c).__name__)
def test_parts_have_one_row_per_sample(column: Column):
    assert {len(part) for part in column.allocate(5).values()} == {5}
    assert {len(part) for part in column.allocate(0).values()} == {0}


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: type(c).__name__)
def test_columns_are_values(column: Column):
    assert column == type(column)()
    assert hash(column) == hash(type(column)())
    if column.observed:
        assert column != dataclasses.replace(column, signal="loss")
    with pytest.raises(dataclasses.FrozenInstanceError):
        column.signal = "loss"


def test_the_parameter_of_a_rule_is_its_first_argument():
    assert EMA(0.5) == EMA(decay=0.5)
    assert Window(3) == Window(size=3)
    with pytest.raises(TypeError):
        Last("loss")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EMA(1.0), ValueError, r"decay must be in \[0, 1\), got 1.0"),
        (lambda: EMA(-0.1), ValueError, "decay"),
        (lambda: EMA(float("nan")), ValueError, "decay"),
        (lambda: EMA("0.5"), TypeError, "decay must be a number, got str"),
        (lambda: Uncertainty(1), ValueError, r"size must be in \[2"),
        (lambda: Lags(0), ValueError, r"size must be in \[1"),
        (lambda: Dual(1), ValueError, r"size must be in \[2"),
        (lambda: Window(0), ValueError, "size must be in"),
        (lambda: Window(2.0), TypeError, "size must be an integer, got float"),
        (lambda: Window(True), TypeError, "size"),
        (lambda: Last(until=-1), ValueError, "until must be in"),
        (lambda: Last(until="3"), TypeError, "until must be an integer, got str"),
        (lambda: Last(signal=3), TypeError, "signal must be a str or None, got int"),
        (lambda: Last(signal=""), ValueError, "signal must not be empty"),
    ],
)
def test_bad_parameters_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_until_ends_the_observations():
    assert Last(until=2).takes(1)
    assert not Last(until=2).takes(2)
    assert Last().takes(2**31)


def test_window_value_is_the_sample_deviation_of_what_is_there():
    window = Window(3)
    parts = window.allocate(3)
    parts["values"][0, :2] = [1.0, 4.0]
    parts["values"][1] = [9.0, 2.0, 4.0]
    parts["values"][2, 0] = 7.0
    parts["count"][:] = [2, 7, 1]
    value = window.value(parts)
    np.testing.assert_allclose(value[:2], [np.std([1, 4], ddof=1), np.std([9, 2, 4], ddof=1)])
    assert np.isnan(value[2])


def test_the_maximum_passes_nan_over_and_does_not_depend_on_the_order():
    nan, inf = np.nan, np.inf
    payload = np.uint32([0xFFC12345]).view(np.float32)[0]
    wanted = {
        (nan, payload): nan, (nan, -inf): -inf, (payload, -3, nan, -2): -2, (1, inf, nan): inf,
        (-0.0,): 0.0, (-0.0, 0.0): 0.0, (-1e-45, -0.0): 0.0, (0.0, 1e-45): 1e-45,
    }  # fmt: skip
    for observed, largest in wanted.items():
        for order in itertools.permutations(observed):
            table = ScoreTable(1, {"loss": Max()})
            for value in order:
                table.observe(np.array([0]), loss=np.float32([value]))
            assert table["loss"].view(np.uint32)[0] == np.float32(largest).view(np.uint32), order


def test_the_maximum_goes_on_from_an_imported_one():
    table = ScoreTable(3, {"loss": Max()})
    table.set_column("loss", np.float32([2, 2, np.nan]))
    table.observe(np.arange(3), loss=np.float32([1, 3, 1]))
    np.testing.assert_array_equal(table["loss"], [2, 3, 1])


def observed(column: Column, *rounds: list[float]) -> ScoreTable:
    """A table of a row for each entry of a round; None in a round is a row not observed in it."""
    table = ScoreTable(len(rounds[0]), {"it": column})
    for values in rounds:
        rows = [row for row, value in enumerate(values) if value is not None]
        table.observe(np.array(rows, np.int64), it=np.float32([values[row] for row in rows]))
    return table


def test_lags_are_the_last_observations_latest_first():
    nan, inf = np.nan, np.inf
    table = observed(
        Lags(3), [1, 5, None, nan], [2, None, None, inf], [3, 6, None, 7], [4, 8, 9, 0]
    )
    np.testing.assert_array_equal(table["it"], [4, 8, 9, 0])
    lags = [[4, 8, 9, 0], [3, 6, nan, 7], [2, 5, nan, inf]]
    for back, expected in enumerate(lags):
        found = table.lag("it", back)
        np.testing.assert_array_equal(found, expected)
        assert (found.dtype, found.flags.c_contiguous) == (np.float32, True)
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 1
    assert observed(Lags(1), [1], [2])["it"].tolist() == [2]


def test_a_lag_beyond_the_size_or_of_another_kind_is_refused():
    table = ScoreTable(2, {"loss": Lags(2), "mean": Mean(signal="loss")})
    table.set_column("given", [1, 2])
    for back in (2, -1):
        with pytest.raises(
            ValueError, match=rf"back of column 'loss' must be in \[0, 1\], got {back}"
        ):
            table.lag("loss", back)
    with pytest.raises(TypeError, match=r"back of column 'loss' must be an integer, got float"):
        table.lag("loss", 1.0)
    with pytest.raises(TypeError, match=r"column 'mean' must be of kind Lags, got Mean\("):
        table.lag("mean", 0)
    with pytest.raises(TypeError, match=r"column 'given' must be of kind Lags, got Last\("):
        table.lag("given", 0)
    with pytest.raises(KeyError, match="no column 'lost'; the table has 'loss', 'mean', 'given'"):
        table.lag("lost", 0)


def test_a_run_begins_anew_with_every_other_outcome():
    nan, inf = np.nan, np.inf
    rounds = [[1, 0, None, nan], [1, 0, None, -1], [0, 1, None, -inf], [2, 1, 0, 0], [inf, 1, 0, 1]]
    table = observed(RunLength(), *rounds)
    np.testing.assert_array_equal(table["it"], [2, 3, 2, 1])
    assert table.part("it", "outcome").tolist() == [True, True, False, True]
    table = observed(RunLength(), *rounds[:3])
    np.testing.assert_array_equal(table["it"], [1, 1, nan, 3])


def test_values_of_extreme_parts_do_not_warn():
    window, mean = Window(2), Mean()
    parts = window.allocate(2)
    parts["values"][:] = [[np.inf, 1.0], [np.nan, 1.0]]
    parts["count"][:] = 2
    assert np.isnan(window.value(parts)).all()
    assert mean.value({"sum": np.array([1e300]), "count": np.array([1], np.uint32)})[0] == np.inf


def test_values_of_tensors_are_those_of_arrays():
    torch = pytest.importorskip("torch")
    columns, rows = of_every_kind("loss", 3), 60
    parts = {name: column.allocate(rows) for name, column in columns.items()}
    random = np.random.default_rng(0)
    index = random.integers(0, rows // 2, 200)
    loss = random.standard_normal(200).astype(np.float32)
    loss[::40] = np.inf, -np.inf, np.nan, 0.0, 3e38
    log = ObservationLog(rows, ["loss"])
    log.append(index, {"loss": loss})
    log.close()
    fold(log, columns, parts, np.zeros(rows, np.bool_), epoch=0)
    for name, column in columns.items():
        tensors = {
            part: torch.from_numpy(array.view(array.dtype.str.replace("u", "i")))
            for part, array in parts[name].items()
        }
        value = column.value(tensors)
        assert value.dtype == torch.float32
        np.testing.assert_array_equal(value.numpy(), column.value(parts[name]), err_msg=name)


@pytest.mark.parametrize(
    ("kind", "parameter", "message"),
    [
        ("median", 0, "no column of kind 'median'"),
        ("window", 0, r"size must be in \[1, 2\*\*32\), got 0"),
        ("uncertainty", 1, r"size must be in \[2, 2\*\*32\), got 1"),
        ("dual", 1, r"size must be in \[2, 2\*\*32\), got 1"),
        ("lags", 0, r"size must be in \[1, 2\*\*32\), got 0"),
        ("window", 2.0**32, "size must be in"),
        ("window", np.nan, "size must be in"),
    ],
)
def test_a_rule_that_the_native_fold_lacks_is_refused(kind, parameter, message):
    log = ObservationLog(2, ["loss"])
    with pytest.raises(ValueError, match=message):
        _core.fold(log.native, [([(kind, 0, parameter, {})], None)], np.zeros(2, np.bool_))
