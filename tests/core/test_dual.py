"""DUAL: its score as a column of a table, and the coreset that is drawn by it."""

from __future__ import annotations

import numpy as np
import pytest

import dynsample as ds


def published(history: np.ndarray, size: int) -> np.ndarray:
    """The rule of the published code: the mean over all windows of the epochs, float[T, N]."""
    windows = [history[i : i + size] for i in range(len(history) - size + 1)]
    return np.mean([10 * w.std(0, ddof=1) * (1 - w.mean(0)) for w in windows], axis=0)


@pytest.mark.parametrize("size", [2, 3, 8])
def test_the_column_scores_as_the_published_rule(size: int) -> None:
    history = np.random.default_rng(0).random((8, 30)).astype(np.float32)
    table = ds.ScoreTable(30, ds.score_columns(["dual"], window=size))
    for epoch, values in enumerate(history):
        order = np.random.default_rng(epoch).permutation(30)
        table.observe(order, probability=values[order], epoch=epoch)
        if epoch + 1 < size:
            assert np.isnan(table["dual"]).all()
        else:
            expected = published(history[: epoch + 1].astype(np.float64), size)
            np.testing.assert_allclose(table["dual"], expected, rtol=1e-6)


def test_a_sample_that_is_always_sure_scores_0_and_a_wavering_hard_one_most() -> None:
    table = ds.ScoreTable(4, {"dual": ds.Dual(2)})
    for values in ([1, 0.9, 0.1, 0], [1, 0.7, 0.3, 0], [1, 0.9, 0.1, 0]):
        table.observe(np.arange(4), dual=np.float32(values))
    scores = table["dual"]
    assert scores[0] == scores[3] == 0
    assert scores[2] > scores[1] > 0
