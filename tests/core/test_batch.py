"""Selection within a batch."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dynsample import batch

VALUES = st.one_of(
    st.sampled_from([0.0, 1.0, np.nan, np.inf]), st.floats(-5, 5, width=32, allow_subnormal=False)
)
BATCHES = st.lists(VALUES, max_size=20).map(lambda values: np.array(values, np.float32))


@given(st.lists(BATCHES, max_size=6), st.integers(1, 12), st.sampled_from([0.0, 0.3, 1.0]))
def test_rows_the_window_says_nothing_of_are_kept(batches, size, pmin) -> None:
    history = batch.LossHistory(beta=2, pmin=pmin, size=size)
    window: list[float] = []
    for losses in batches:
        kept = history.select(losses)
        assert kept.dtype == np.bool_
        assert kept.shape == losses.shape
        window = [*window, *losses.tolist()][-size:]
        assert kept[~np.isfinite(losses)].all()
        assert len(losses) == 0 or kept[np.argmax(losses)]
        if pmin == 1:
            assert kept.all()
        held = np.array(history.state_dict()["window"], np.float32)
        expected = np.array([x if np.isfinite(x) else np.nan for x in window], np.float32)
        np.testing.assert_array_equal(held, expected)


def test_the_share_strictly_below_is_the_probability() -> None:
    # 0 ... 9 in the window: loss x has share x / 10.
    losses = np.arange(10, dtype=np.float32)
    times = np.zeros(10)
    for seed in range(500):
        times += batch.LossHistory(seed=seed).select(losses)
    expected = np.arange(10) / 10 * 500
    expected[9] = 500
    assert times[0] == 0
    assert np.abs(times - expected).max() < 6 * np.sqrt(500 * 0.25)
    lifted = sum(batch.LossHistory(pmin=0.5, seed=s).select(losses)[0] for s in range(500))
    assert abs(lifted - 250) < 6 * np.sqrt(500 * 0.25)


def test_history_goes_on_where_its_state_was_taken_and_takes_tensors() -> None:
    generator = np.random.default_rng(0)
    first, other = batch.LossHistory(size=40, seed=3), batch.LossHistory(size=40, seed=3)
    for _ in range(3):
        first.select(generator.random(16, np.float32))
    other.load_state_dict(json.loads(json.dumps(first.state_dict())))
    losses = generator.random(16, np.float32)
    kept = other.select(torch.from_numpy(losses))
    assert kept.dtype == torch.bool
    np.testing.assert_array_equal(first.select(losses), kept.numpy())
    bfloat = torch.from_numpy(losses).bfloat16()[:, None]
    assert other.select(bfloat).shape == (16,)
    with pytest.raises(ValueError, match="version 1, got 2"):
        other.load_state_dict({"version": 2})
    with pytest.raises(ValueError, match="at most 40 losses"):
        other.load_state_dict({"version": 1, "step": 0, "window": [0.0] * 41})


@given(BATCHES, st.floats(0.05, 1), st.integers(0, 2**32 - 1))
def test_ranks_keep_the_asked_share(losses, keep, step) -> None:
    kept = batch.selective_backprop(losses, keep, seed=1, step=step)
    assert kept.sum() == min(len(losses), max(1, int(keep * len(losses))))
    again = batch.selective_backprop(torch.from_numpy(losses), keep, seed=1, step=step)
    np.testing.assert_array_equal(kept, again.numpy())


def test_higher_losses_are_kept_more_often_by_rank() -> None:
    losses = np.float32([30, 10, 20, 0])
    times = np.zeros(4)
    for step in range(2000):
        times += batch.selective_backprop(losses, 0.25, seed=2, step=step)
    weight = ((np.array([3, 1, 2, 0]) + 0.5) / 4) ** 3
    expected = 2000 * weight / weight.sum()
    assert np.abs(times - expected).max() < 6 * np.sqrt(2000 * 0.25)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: batch.LossHistory(beta=0), ValueError, r"beta must be in \(0, inf\)"),
        (lambda: batch.LossHistory(size=0), ValueError, "size must be in"),
        (lambda: batch.LossHistory().select([1.0]), TypeError, "losses must be"),
        (lambda: batch.LossHistory().select(np.array([1])), TypeError, "got int64"),
        (lambda: batch.LossHistory().select(np.float32(1)), TypeError, "losses must be"),
        (lambda: batch.LossHistory().select(torch.tensor(1.0)), ValueError, 'reduction="none"'),
        (lambda: batch.LossHistory().select(np.zeros((2, 2))), ValueError, r"\(2, 2\)"),
        (lambda: batch.selective_backprop(np.zeros(2), 0, seed=0, step=0), ValueError, "keep"),
        (lambda: batch.selective_backprop(np.zeros(2), seed=-1, step=0), ValueError, "seed"),
    ],
)
def test_bad_input_is_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()
