"""DUAL: its score as a column of a table, and the coreset that is drawn by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample.reference import scores as reference


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


SCORES = st.lists(st.sampled_from([0.0, 0.5, 0.5, 2.0, np.nan]) | st.floats(0, 5), max_size=25)


@given(
    SCORES,
    st.sampled_from([0.0, 0.3, 0.9, 0.999]),
    st.sampled_from([1.0, 4.0, 11.0]),
    st.randoms(use_true_random=False),
)
def test_probabilities_are_scores_times_the_beta_density(scores, ratio, c_d, random) -> None:
    scores = np.float32(scores)
    means = np.float32([random.choice([0.01, 0.5, random.uniform(0.01, 0.99)]) for _ in scores])
    means[np.array([random.random() < 0.1 for _ in scores], bool)] = np.nan
    found = ds.coreset.beta_probabilities(scores, means, ratio, c_d=c_d)
    assert (np.isnan(found) == np.isnan(scores + means)).all()
    known = ~np.isnan(found)
    assert ((found[known] > 0) == (scores[known] > 0)).all()
    if (found[known] > 0).any():
        assert found[known].sum() == pytest.approx(1)
        wanted = reference.beta_probabilities(scores.tolist(), means.tolist(), ratio, c_d)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-300)


def test_the_density_is_that_of_scipy_with_the_parameters_of_the_published_code() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    scores, means = random.random((2, 200)).astype(np.float32).astype(np.float64)
    for ratio, c_d in ((0.3, 4.0), (0.9, 4.0), (0.9, 11.0)):
        anchor = means[np.argsort(scores)[-10:]].mean()
        b = 15 * (1 - anchor) * (1 - ratio**c_d)
        joint = stats.beta.pdf(means, 16 - b, b) * scores
        found = ds.coreset.beta_probabilities(scores, means, ratio, c_d=c_d)
        np.testing.assert_allclose(found, joint / joint.sum(), rtol=1e-9)


def test_the_more_is_pruned_the_easier_are_the_samples_that_are_drawn() -> None:
    scores, means = np.full(99, 1.0), np.arange(1, 100) / 100
    scores[:10] += 1  # the hardest ones
    centres = [
        means @ ds.coreset.beta_probabilities(scores, means, ratio) for ratio in (0, 0.5, 0.8, 0.95)
    ]
    assert centres == sorted(centres)
    assert centres[0] < 0.3
    assert centres[-1] > 0.8


@pytest.mark.parametrize("anchor", [0.0, 1.0])
@pytest.mark.parametrize("ratio", [0.0, 0.9])
def test_means_at_the_ends_have_finite_probabilities(anchor: float, ratio: float) -> None:
    means = np.float32([anchor] * 10 + [0, 1e-45, 1e-10, 0.5, 1 - 2.0**-24, 1])
    scores = np.float32([2] * 10 + [1] * 6)
    found = ds.coreset.beta_probabilities(scores, means, ratio)
    assert np.isfinite(found).all()
    assert (found > 0).all()
    assert found.sum() == pytest.approx(1)


def test_without_scores_there_are_no_probabilities() -> None:
    assert ds.coreset.beta_probabilities([], [], 0.5).shape == (0,)
    assert ds.coreset.beta_probabilities([0.0, 0.0], [0.1, 0.2], 0.5).tolist() == [0, 0]
    assert np.isnan(ds.coreset.beta_probabilities([np.nan], [0.1], 0.5)).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([-1.0], [0.5], 0.5), ValueError, r"scores must be in \[0, inf\), or NaN, got -1.0"),
        (([np.inf], [0.5], 0.5), ValueError, r"scores must be in \[0, inf\), or NaN, got inf"),
        (([1.0], [1.5], 0.5), ValueError, r"means must be in \[0, 1\], or NaN, got 1.5"),
        (([1.0], [0.5, 0.5], 0.5), ValueError, "means must have 1 entries, one a score, got 2"),
        (([1.0], [[0.5]], 0.5), ValueError, "means must have one dimension"),
        ((["a"], [0.5], 0.5), TypeError, "scores must be a sequence of numbers"),
        (([1.0], [0.5], 1.0), ValueError, r"pruning_ratio must be in \[0, 1\), got 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        ds.coreset.beta_probabilities(*arguments)
    with pytest.raises(ValueError, match=r"c_d must be in \(0, inf\), got 0"):
        ds.coreset.beta_probabilities([1.0], [0.5], 0.5, c_d=0)


def test_a_run_gathers_what_the_draw_needs() -> None:
    sampler = ds.Sampler(
        40, batch_size=10, columns=ds.score_columns(["dual", "probability"], window=3)
    )
    random = np.random.default_rng(0)
    for epoch in range(4):
        sampler.set_epoch(epoch)
        for index in sampler:
            sampler.observe(index, probability=random.random(len(index), np.float32))
    sampler.set_epoch(4)
    scores, means = sampler.table["dual"], sampler.table["probability"]
    kept = ds.coreset.keep_drawn(ds.coreset.beta_probabilities(scores, means, 0.7), 12, seed=1)
    assert len(kept) == 12
