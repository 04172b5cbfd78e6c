"""Whatever torch and numpy take as numbers is taken, and made plain, at the door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import dynsample as ds
from dynsample.kernels.convert import plain
from dynsample.kernels.numbers import reals, relative

GIVEN = {
    "list": [1, 0.5, 2.0],
    "tuple": (1, 0.5, 2),
    "list of scalars": [np.float32(1), torch.tensor(0.5), np.array(2)],
    "float16": np.float16([1, 0.5, 2]),
    "float64": np.array([1, 0.5, 2]),
    "another byte order": np.array([1, 0.5, 2], ">f8"),
    "long double": np.array([1, 0.5, 2], np.longdouble),
    "strided": np.array([1, 9, 0.5, 9, 2])[::2],
    "read only": np.frombuffer(np.float32([1, 0.5, 2]).tobytes(), np.float32),
    "torch float64": torch.tensor([1, 0.5, 2], dtype=torch.float64),
    "torch bfloat16": torch.tensor([1, 0.5, 2], dtype=torch.bfloat16),
    "torch with a gradient": torch.tensor([1, 0.5, 2], requires_grad=True),
}
INTEGERS = {
    "range": range(3),
    "uint8": np.arange(3, dtype=np.uint8),
    "int64": np.arange(3),
    "torch int32": torch.arange(3, dtype=torch.int32),
    "bools": [False, True, True],
}
REFUSED = {
    "None": (None, TypeError, "must be a sequence of numbers, got NoneType None"),
    "a set": ({1.0, 2.0}, TypeError, "must be a sequence of numbers, got set"),
    "a generator": (iter([1.0]), TypeError, "must be a sequence of numbers, got list_iterator"),
    "text": (["a", "b", "c"], TypeError, "must be a sequence of numbers, got list"),
    "a gap": ([1.0, None, 2.0], TypeError, "must be a sequence of numbers, got list"),
    "ragged": ([[1.0], [2.0, 3.0]], TypeError, "must be a sequence of numbers, got list"),
    "objects": (np.array([1, 2, 3], object), TypeError, "must be real numbers, got dtype object"),
    "complex": ([1j, 1, 2], TypeError, "must be real numbers, got dtype complex128"),
    "a tensor of complex": (
        torch.ones(3) * 1j,
        TypeError,
        "must be real numbers, got dtype complex64",
    ),
    "one number": (2.0, ValueError, r"must have one dimension, got shape \(\)"),
    "a 0-d tensor": (torch.tensor(2.0), ValueError, r"must have one dimension, got shape \(\)"),
    "two dimensions": (np.ones((3, 1)), ValueError, r"must have one dimension, got shape \(3, 1\)"),
}


def set_column(values: Any) -> NDArray[Any]:
    table = ds.ScoreTable(3, {"score": ds.Last()})
    table.set_column("score", values)
    return table["score"]


def selected(values: Any) -> NDArray[Any]:
    return ds.build_plan(ds.Selection(weights=values), 3, seed=0, epoch=0).weights


def in_a_tree(values: Any) -> NDArray[Any]:
    tree = ds.PriorityTree(3)
    tree.update(range(3), values)
    return tree[[0, 1, 2]]


def drawn(values: Any) -> NDArray[Any]:
    total = sum(plain(value) for value in values)
    counts = ds.ops.draw_counts(values, int(400 * total), seed=0, epoch=0)
    return np.asarray(counts.tolist()) / 400


TAKERS = {
    "WeightedRandom": lambda values: ds.WeightedRandom(values).probabilities,
    "set_column": set_column,
    "Selection": selected,
    "PriorityTree": in_a_tree,
    "draw_counts": drawn,
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("kind", GIVEN)
def test_any_sequence_of_real_numbers_is_taken(taker: str, kind: str) -> None:
    assert TAKERS[taker](GIVEN[kind]).tolist() == [1, 0.5, 2]


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_and_bools_are_numbers(taker: str, kind: str) -> None:
    found = TAKERS[taker](INTEGERS[kind])
    assert found.tolist() == [float(value) for value in INTEGERS[kind]]


@pytest.mark.parametrize("taker", ["WeightedRandom", "set_column", "Selection", "draw_counts"])
@pytest.mark.parametrize("what", REFUSED)
def test_other_things_are_refused_by_name(taker: str, what: str) -> None:
    values, error, message = REFUSED[what]
    if taker == "Selection" and values is None:
        return  # no weights
    take = {**TAKERS, "draw_counts": lambda p: ds.ops.draw_counts(p, 3, seed=0, epoch=0)}[taker]
    name = {"set_column": "values", "Selection": "selection.weights"}.get(taker, "probabilities")
    with pytest.raises(error, match=f"^{name} {message}"):
        take(values)


@pytest.mark.parametrize("kind", GIVEN)
def test_what_a_callable_computes_may_be_any_of_these(kind: str) -> None:
    values = GIVEN[kind]
    policy = ds.WeightedRandom(lambda table: values, num_draws=350)
    counts = policy.select(ds.ScoreTable(3, {}), 0, ds.EpochRandom(0, 0)).counts
    assert counts is not None
    assert counts.tolist() == [100, 50, 200]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=9), st.booleans())
def test_rounding_keeps_signs_and_zeros(values: list[float], tensor: bool) -> None:
    array = np.array(values)
    given = torch.from_numpy(array) if tensor else array
    if (np.isfinite(array) & (np.abs(array) > np.finfo(np.float32).max)).any():
        with pytest.raises(ValueError, match=r"x must be at most 3\.4.*e\+38 in size"):
            reals(given, "x")
        return
    found = np.asarray(reals(given, "x"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.sign(found), np.sign(array))
    normal = np.abs(array) > 1e-37
    np.testing.assert_array_equal(found[normal], array[normal].astype(np.float32))


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=9), st.integers(-1010, 1000), st.booleans())
def test_a_common_factor_of_probabilities_is_no_matter(
    values: list[float], exponent: int, tensor: bool
) -> None:
    array = np.array(values) * 2.0**exponent
    given = torch.from_numpy(array) if tensor else array
    found = np.asarray(relative(given, "p"), np.float64)
    np.testing.assert_allclose(found / found.max(), array / array.max(), rtol=2**-22)


@pytest.mark.parametrize("scalar", [np.float32, np.float64, np.array, torch.tensor])
def test_a_schedule_may_give_any_number(scalar: Any, tmp_path: Path) -> None:
    """It trains, is saved, and is loaded where the schedule gives a float."""
    factors = np.float32(np.linspace(0.5, 1, 5)).tolist()

    def run(schedule: Any) -> ds.Sampler:
        sampler = ds.Sampler(20, ds.Kakurenbo(schedule=schedule), 5)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            for index in sampler:
                sampler.observe(index, loss=index / 9.0, correct=index > 0, confidence=index * 0.0)
        return sampler

    sampler = run(lambda epoch: scalar(factors[epoch]))
    sampler.save(tmp_path / "state")
    other = ds.Sampler(20, ds.Kakurenbo(schedule=lambda epoch: factors[epoch]), 5)
    other.load(tmp_path / "state")
    assert other.plan.digest == sampler.plan.digest
    assert {type(value) for value in sampler.stats.values()} <= {int, float, str}
    json.dumps(sampler.stats)


NUMBERS = {
    "numpy": (np.float64(0.25), np.int64(3), np.bool_(True)),
    "0-d array": (np.array(0.25), np.array(3), np.array(True)),
    "torch": (torch.tensor(0.25), torch.tensor(3), torch.tensor(True)),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_arguments_may_be_numbers_of_numpy_and_torch(kind: str) -> None:
    real, whole, yes = NUMBERS[kind]
    subset = [whole, 5]
    same = ds.Sampler(
        10, ds.RandomSubset(0.25, True), 3, seed=3, subset=[3, 5], columns={"a": ds.Window(3)}
    )
    sampler = ds.Sampler(
        whole + 7, ds.RandomSubset(real, yes), whole, seed=whole, subset=subset,
        columns={"a": ds.Window(whole)},
    )  # fmt: skip
    assert sampler.plan.digest == same.plan.digest
    assert sampler.policy == same.policy
    assert repr(sampler.table.columns) == repr(same.table.columns)
    assert repr(ds.EMA(real, until=whole)) == repr(ds.EMA(0.25, until=3))
    assert repr(ds.schedules.Steps([whole], [real, real])) == repr(
        ds.schedules.Steps([3], [0.25, 0.25])
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ds.Sampler(True), "num_samples must be an integer, got bool True"),
        (lambda: ds.Sampler(9, batch_size=np.bool_(True)), "batch_size must be an integer, got"),
        (lambda: ds.Sampler(9, batch_size=2.0), "batch_size must be an integer, got float 2.0"),
        (lambda: ds.Window([3]), r"size must be an integer, got list \[3\]"),
        (lambda: ds.Window(np.array([3, 4])), "size must be an integer, got ndarray array"),
        (lambda: ds.EMA(np.array([0.5])), "decay must be a number, got ndarray"),
        (lambda: ds.EMA(np.bool_(True)), "decay must be a number, got"),
        (lambda: ds.Kakurenbo(fraction=np.complex64(0.5)), "fraction must be a number, got"),
        (lambda: ds.RandomSubset(replacement=1), "replacement must be True or False, got int 1"),
        (lambda: ds.Sampler(9, subset="012"), "subset must be a sequence of numbers, got str"),
        (lambda: ds.Sampler(9, subset=[True] * 9), "subset must be .* integer array, got bool"),
        (lambda: ds.PageLocal([0, 1], 2.5), "window must be an integer, got float 2.5"),
    ],
)
def test_what_is_no_such_number_is_named(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_a_selection_takes_lists() -> None:
    hidden = ds.build_plan(ds.Selection(hidden=[True, False, True]), 3, seed=0, epoch=0)
    assert hidden.hidden.tolist() == [0, 2]
    counts = ds.build_plan(ds.Selection(counts=torch.tensor([2, 0, 1])), 3, seed=0, epoch=0)
    assert sorted(counts.order.tolist()) == [0, 0, 2]
    with pytest.raises(TypeError, match=r"selection\.hidden must have dtype bool, got int64"):
        ds.Selection(hidden=[1, 0, 1])
    with pytest.raises(ValueError, match=r"selection\.counts must be in \[0, 2\*\*32\), got -1"):
        ds.Selection(counts=[1, -1, 1])
