"""Signals from logits: against float64 formulas, numpy and torch alike."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dynsample import signals

BATCHES = st.tuples(st.integers(0, 6), st.integers(2, 5)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, shape, elements=st.floats(-90, 90, width=16)),
        hnp.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)),
    )
)


def oracle(logits: np.ndarray, targets: np.ndarray) -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {name: [] for name in (*signals.NAMES, "target")}
    for z, y in zip(logits.astype(np.float64), targets, strict=True):
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        rows["loss"].append(np.log(np.exp(z - z.max()).sum()) + z.max() - z[y])
        rows["correct"].append(float(z.tolist().index(z.max()) == y))
        rows["confidence"].append(p.max())
        rows["target"].append(p[y])
        rows["margin"].append(z[y] - max(v for j, v in enumerate(z) if j != y))
        rows["el2n"].append(np.linalg.norm(p - np.eye(len(z))[y]))
        rows["l1"].append(np.abs(p - np.eye(len(z))[y]).sum())
        rows["max_margin"].append(max(v - p[y] for j, v in enumerate(p) if j != y))
        rows["sum_margin"].append(sum(v - p[y] for j, v in enumerate(p) if j != y))
        rows["probability"].append(p[y])
    return rows


@given(BATCHES)
def test_signals_equal_their_formulas_in_numpy_and_torch(batch) -> None:
    logits, targets = batch
    expected = oracle(logits, targets)
    ours = signals.compute(signals.NAMES, logits, targets)
    torchs = signals.compute(
        signals.NAMES, torch.from_numpy(logits.copy()), torch.from_numpy(targets)
    )
    for name in signals.NAMES:
        assert ours[name].dtype == np.float32
        assert torchs[name].dtype == torch.float32
        for found in (ours[name], torchs[name].numpy()):
            np.testing.assert_allclose(found, expected[name], rtol=2e-5, atol=2e-5, err_msg=name)
    target = signals.confidence(logits, targets, "target")
    np.testing.assert_allclose(target, expected["target"], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", signals.NAMES)
def test_each_function_gives_what_compute_gives(name: str) -> None:
    logits, targets = np.float32([[1, 2, 0], [0, 0, 0]]), np.int64([1, 2])
    alone = getattr(signals, name)(logits, targets)
    np.testing.assert_array_equal(alone, signals.compute([name], logits, targets)[name])


def test_names_that_need_more_than_logits_are_left_out() -> None:
    found = signals.compute(["loss", "grad_norm"], np.zeros((1, 2), np.float32), np.int64([0]))
    assert list(found) == ["loss"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_dtypes_become_float32_and_gradients_end(dtype: torch.dtype) -> None:
    logits = torch.tensor([[1.0, 3.0]], dtype=dtype, requires_grad=True)
    loss = signals.loss(logits, torch.tensor([1]))
    assert loss.dtype == torch.float32
    assert not loss.requires_grad
    assert signals.loss(logits.detach().float().numpy(), np.array([1])).dtype == np.float32


def test_large_logits_neither_overflow_nor_warn() -> None:
    logits = np.float16([[60000, -60000], [-60000, 60000]])
    np.testing.assert_array_equal(signals.loss(logits, np.array([0, 0])), [0, 120000])
    np.testing.assert_array_equal(signals.confidence(logits, np.array([0, 0])), [1, 1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("as_kind", [np.asarray, torch.tensor])
def test_a_row_that_is_not_finite_is_nan_and_never_correct_by_nan(bad, as_kind) -> None:
    logits, targets = as_kind(np.float32([[bad, 0], [2, 1]])), as_kind(np.int64([0, 0]))
    found = signals.compute(["loss", "confidence", "correct"], logits, targets)
    assert np.isnan(float(found["loss"][0]))
    assert np.isnan(float(found["confidence"][0]))
    assert float(found["correct"][0]) == (bad == np.inf)
    assert float(found["correct"][1]) == 1


@pytest.mark.parametrize(
    ("logits", "targets", "error", "message"),
    [
        (np.zeros((2, 3), np.float32), np.int64([0, 3]), IndexError, r"\[0, 3\), got 3"),
        (np.zeros((2, 3), np.float32), np.int64([0, -1]), IndexError, r"\[0, 3\), got -1"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), IndexError, r"\[0, 3\), got 3"),
        (
            np.zeros((2, 3), np.float32),
            np.int64([0]),
            ValueError,
            r"targets must have shape \(2,\)",
        ),
        (np.zeros(2, np.float32), np.int64([0, 1]), ValueError, r"shape \[B, C\], got \(2,\)"),
        (np.zeros((2, 0), np.float32), np.int64([0, 1]), ValueError, r"\[B, C\]"),
        (np.zeros((2, 3), np.int64), np.int64([0, 1]), TypeError, "logits must have dtype"),
        (np.zeros((2, 3), np.float32), np.zeros(2), TypeError, "targets must have an integer"),
        (np.zeros((2, 3), np.float32), torch.tensor([0, 1]), TypeError, "both"),
        ([[0.0, 1.0]], np.int64([0]), TypeError, "logits must be a numpy, torch or DLPack array"),
    ],
)
def test_bad_input_is_named(logits, targets, error, message) -> None:
    with pytest.raises(error, match=message):
        signals.loss(logits, targets)


def test_margin_needs_two_classes() -> None:
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        signals.margin(np.zeros((1, 1), np.float32), np.int64([0]))
    np.testing.assert_array_equal(signals.loss(np.zeros((1, 1), np.float32), np.int64([0])), [0])


def test_numpy_signals_do_not_import_torch() -> None:
    code = (
        "import sys, numpy as np, dynsample.signals as s\n"
        "s.compute(s.NAMES, np.zeros((2, 3), np.float32), np.zeros(2, np.int64))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
