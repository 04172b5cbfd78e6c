"""Weights by classes, against their oracles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample.reference import weights as reference

LABELS = st.lists(st.integers(-3, 5), max_size=60)
MANY = st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=40)


@given(LABELS, st.one_of(st.floats(0, 3), st.sampled_from([0, 0.5, 1, 100])))
def test_balanced_is_as_the_oracle_says(labels: list[int], power: float) -> None:
    found = ds.weights.balanced(labels, power)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, reference.balanced(labels, power), rtol=1e-12)


@given(LABELS, st.one_of(st.floats(0, 0.999), st.sampled_from([0.0, 0.9, 0.9999, 1 - 1e-12])))
def test_effective_number_is_as_the_oracle_says(labels: list[int], beta: float) -> None:
    found = ds.weights.effective_number(labels, beta)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, reference.effective_number(labels, beta), rtol=1e-12)


@given(MANY, st.floats(0.001, 1), st.sampled_from(["lists", "arrays", "matrix", "tensor"]))
def test_repeat_factor_is_as_the_oracle_says(
    labels: list[list[int]], threshold: float, kind: str
) -> None:
    matrix = np.zeros((len(labels), 6), np.bool_)
    for row, classes in zip(matrix, labels, strict=True):
        row[classes] = True
    forms: dict[str, Any] = {
        "lists": labels,
        "arrays": [np.array(classes, np.int32) for classes in labels],
        "matrix": matrix,
        "tensor": torch.from_numpy(matrix),
    }
    found = ds.weights.repeat_factor(forms[kind], threshold)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, reference.repeat_factor(labels, threshold), rtol=1e-12)


@given(st.lists(st.integers(0, 5), max_size=40), st.floats(0.001, 1))
def test_a_class_each_is_a_list_of_one(labels: list[int], threshold: float) -> None:
    one = ds.weights.repeat_factor(labels, threshold)
    lists = ds.weights.repeat_factor([[label] for label in labels], threshold)
    np.testing.assert_array_equal(one, lists)


@given(LABELS.filter(len), st.floats(0, 1))
def test_every_class_is_as_likely_with_power_one(labels: list[int], power: float) -> None:
    weights = ds.weights.balanced(labels, power)
    assert weights.mean() == pytest.approx(1)
    classes, sizes = np.unique(labels, return_counts=True)
    shares = [weights[np.array(labels) == each].sum() / len(labels) for each in classes]
    wanted = sizes ** (1 - power) / (sizes ** (1 - power)).sum()
    np.testing.assert_allclose(shares, wanted, rtol=1e-9)


def test_effective_numbers_go_from_equal_to_balanced() -> None:
    labels = [0] * 90 + [1] * 9 + [2]
    np.testing.assert_array_equal(ds.weights.effective_number(labels, 0), np.ones(100))
    nearly = ds.weights.effective_number(labels, 1 - 1e-12)
    np.testing.assert_allclose(nearly, ds.weights.balanced(labels), rtol=1e-9)


@pytest.mark.parametrize("kind", [list, tuple, np.uint8, torch.tensor])
def test_labels_of_any_kind_are_taken(kind: Any) -> None:
    labels = [0, 0, 3]
    np.testing.assert_allclose(ds.weights.balanced(kind(labels)), [0.75, 0.75, 1.5])
    np.testing.assert_allclose(ds.weights.repeat_factor(kind(labels), 1.0) ** 2, [1.5, 1.5, 3])


def test_factors_are_the_draws_of_an_epoch() -> None:
    labels = [[0]] * 900 + [[0, 1]] * 90 + [[0, 1, 2]] * 9 + [[]]
    factors = ds.weights.repeat_factor(labels, 0.2)
    policy = ds.WeightedRandom(factors, num_draws=round(factors.sum()))
    counts = policy.select(ds.ScoreTable(1000, {}), 0, ds.EpochRandom(1, 0)).counts
    assert counts is not None
    assert (np.abs(counts - factors) < 1.001).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda w: w.balanced([0.5]), TypeError, "labels must be a one-dimensional integer array"),
        (lambda w: w.balanced(["a"]), TypeError, "labels must be a sequence of numbers, got list"),
        (lambda w: w.balanced([0], -1), ValueError, r"power must be in \[0, inf\), got -1"),
        (lambda w: w.balanced([0], "1"), TypeError, "power must be a number, got str '1'"),
        (lambda w: w.effective_number([0], 1), ValueError, r"beta must be in \[0, 1\), got 1"),
        (lambda w: w.repeat_factor([0], 0), ValueError, r"threshold must be in \(0, 1\], got 0"),
        (lambda w: w.repeat_factor([[0], 1], 0.5), TypeError, r"labels\[1\] must be a one-dimens"),
        (lambda w: w.repeat_factor([[0], [True]], 0.5), TypeError, r"labels\[1\] must .* got bool"),
        (lambda w: w.repeat_factor([[0], "1"], 0.5), TypeError, r"labels\[1\] must be a sequence"),
        (
            lambda w: w.repeat_factor(np.eye(2, dtype=int), 0.5),
            TypeError,
            r"bool\[N, C\], or N sequences of int, got an array int64\[2, 2\]",
        ),
        (lambda w: w.repeat_factor(None, 0.5), TypeError, "labels must be a sequence of numbers"),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(ds.weights)
