"""Which samples a coreset keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import dynsample as ds
from dynsample import coreset
from dynsample._core import Stream
from dynsample.reference import draw
from dynsample.reference import scores as reference

SCORES = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 12),
    elements=st.sampled_from([0.0, -0.0, 0.5, 1.0, -2.0, np.inf, -np.inf, np.nan]),
)


def ranked(scores: np.ndarray) -> list[int]:
    seen = [i for i in range(len(scores)) if not np.isnan(scores[i])]
    return sorted(seen, key=lambda i: (float(scores[i]), i))


def unseen(scores: np.ndarray) -> list[int]:
    return np.flatnonzero(np.isnan(scores)).tolist()


UNSEEN = pytest.mark.filterwarnings("ignore:.*samples have no score, NaN:UserWarning")


@UNSEEN
@given(SCORES, st.data())
def test_highest_lowest_and_offset_are_cuts_of_the_sorted_scores(scores, data) -> None:
    k = data.draw(st.integers(0, len(scores)))
    order, missing = ranked(scores), unseen(scores)
    rest = max(0, k - len(missing))
    offset = data.draw(st.integers(0, len(order) - rest))
    kept = {
        "highest": (coreset.keep_highest(scores, k), order[len(order) - rest :]),
        "lowest": (coreset.keep_lowest(scores, k), order[:rest]),
        "offset": (coreset.keep_offset(scores, k, offset), order[offset : offset + rest]),
    }
    for name, (found, expected) in kept.items():
        assert found.dtype == np.int64
        assert found.tolist() == (sorted(missing + expected) if k else []), name


@given(SCORES, st.integers(0, 3))
def test_lowest_and_highest_share_the_samples_between_them(scores, seed) -> None:
    scores = scores[~np.isnan(scores)]
    k = seed % (len(scores) + 1)
    both = [*coreset.keep_lowest(scores, k), *coreset.keep_highest(scores, len(scores) - k)]
    assert sorted(both) == list(range(len(scores)))


def test_nothing_is_kept_of_k_0_and_everything_of_k_n() -> None:
    scores = np.array([0.1, np.nan, 0.3])
    for keep in (coreset.keep_highest, coreset.keep_lowest, coreset.keep_strata):
        assert keep(scores, 0).tolist() == []
        assert keep(scores, 3).tolist() == [0, 1, 2]
    assert coreset.keep_random(3, 0).tolist() == coreset.keep_drawn(scores, 0).tolist() == []
    assert coreset.keep_drawn(scores, 3).tolist() == [0, 1, 2]
    assert coreset.keep_balanced([0, 1, 1], 0, scores).tolist() == []


def test_samples_never_seen_are_kept_first_also_beyond_k() -> None:
    scores = np.array([np.nan, 5.0, np.nan, 7.0])
    with pytest.warns(UserWarning, match="2 of 4 samples have no score, NaN: they are kept before"):
        assert coreset.keep_highest(scores, 3).tolist() == [0, 2, 3]
    with pytest.warns(
        UserWarning, match="all others, more than the 1 that were asked for"
    ) as found:
        assert coreset.keep_highest(scores, 1).tolist() == [0, 2]
    assert [warning.filename for warning in found] == [__file__]
    with pytest.warns(UserWarning, match="2 of 4 samples have no score"):
        assert coreset.keep_strata(scores, 3, seed=1).tolist()[:1] == [0]


def test_random_is_a_set_of_k_that_the_seed_decides() -> None:
    first = coreset.keep_random(1000, 300, seed=1)
    assert len(np.unique(first)) == 300
    assert (first == np.sort(first)).all()
    np.testing.assert_array_equal(first, coreset.keep_random(1000, 300, seed=1))
    assert (first != coreset.keep_random(1000, 300, seed=2)).any()


PROBABILITIES = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 12),
    elements=st.sampled_from([0.0, -0.0, 0.5, 0.5, 1.0, 1e-30, np.inf, np.nan]),
)


@UNSEEN
@given(PROBABILITIES, st.integers(0, 2**64 - 1), st.data())
def test_drawn_is_the_race_of_the_oracle_after_those_without_a_probability(p, seed, data) -> None:
    missing = unseen(p)
    rest = np.where(np.isnan(p), 0, p).astype(np.float32)
    k = data.draw(st.integers(0, len(missing) + np.count_nonzero(rest)))
    drawn = draw.draw_mask(
        rest, max(0, k - len(missing)), seed=seed, epoch=0, stream=Stream.CORESET_DRAW
    )
    found = coreset.keep_drawn(p, k, seed)
    assert found.dtype == np.int64
    assert found.tolist() == (sorted([*missing, *np.flatnonzero(drawn)]) if k else [])


def test_drawn_follows_the_probabilities_and_the_seed() -> None:
    p = np.array([1, 2, 5, 0])
    first = [int(coreset.keep_drawn(p, 1, seed)[0]) for seed in range(4000)]
    shares = np.bincount(first, minlength=4) / 4000
    np.testing.assert_allclose(shares, p / 8, atol=0.03)
    whole = np.random.default_rng(0).random(500)
    kept = coreset.keep_drawn(whole, 200, seed=7)
    assert kept.tolist() == coreset.keep_drawn(torch.from_numpy(whole * 1e-200), 200, 7).tolist()
    assert kept.tolist() != np.flatnonzero(ds.ops.draw_mask(whole, 200, seed=7, epoch=0)).tolist()


@given(st.lists(st.integers(0, 9), max_size=8), st.data())
def test_shares_add_up_and_equal_the_oracle(sizes, data) -> None:
    k = data.draw(st.integers(0, sum(sizes)))
    found = coreset.shares(np.array(sizes, np.int64), k)
    assert found.tolist() == reference.shares(sizes, k)
    assert found.sum() == k


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.data())
def test_balanced_keeps_as_many_of_every_class_as_there_can_be(labels, data) -> None:
    classes = np.array(labels)
    k = data.draw(st.integers(0, len(labels)))
    scores = np.arange(len(labels), dtype=np.float32)
    for found in (
        coreset.keep_balanced(classes, k, scores),
        coreset.keep_balanced(classes, k, seed=3),
    ):
        assert len(found) == k
        counts = np.bincount(classes[found], minlength=4)
        short = counts < np.bincount(classes, minlength=4)
        assert not short.any() or counts[short].min() >= counts.max() - 1
    kept = coreset.keep_balanced(classes, k, scores, keep="lowest")
    for label in range(4):
        mine = kept[classes[kept] == label]
        assert mine.tolist() == np.flatnonzero(classes == label)[: len(mine)].tolist()


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=40),
    st.integers(1, 6),
    st.sampled_from(["highest", "lowest"]),
    st.data(),
)
def test_strata_are_filled_smallest_first_without_the_hardest(scores, strata, hardest, data):
    scores = np.float32(scores)
    cutoff = data.draw(st.sampled_from([0.0, 0.2, 0.5]))
    dropped = int(cutoff * len(scores))
    order = ranked(scores)
    left = sorted(order[dropped:] if hardest == "lowest" else order[: len(order) - dropped])
    k = data.draw(st.integers(0, len(left)))
    found = coreset.keep_strata(scores, k, strata=strata, cutoff=cutoff, hardest=hardest, seed=5)
    assert len(found) == k
    assert set(found.tolist()) <= set(left)
    if len(left):
        number = reference.strata_of(scores[left].astype(np.float64).tolist(), strata)
        sizes = [number.count(stratum) for stratum in range(strata)]
        place = dict(zip(left, number, strict=True))
        kept = [sum(place[i] == stratum for i in found.tolist()) for stratum in range(strata)]
        present = [stratum for stratum in range(strata) if sizes[stratum]]
        expected = reference.shares([sizes[stratum] for stratum in present], k)
        assert [kept[stratum] for stratum in present] == expected


def test_torch_and_lists_are_taken() -> None:
    assert coreset.keep_highest(torch.tensor([1.0, 3.0, 2.0]), 1).tolist() == [1]
    assert coreset.keep_balanced(torch.tensor([0, 1]), 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: coreset.keep_highest([1.0], 2), ValueError, r"k must be in \[0, 1\], got 2"),
        (lambda: coreset.keep_highest([[1.0]], 1), ValueError, "one dimension"),
        (lambda: coreset.keep_highest(["a"], 1), TypeError, "real numbers"),
        (lambda: coreset.keep_drawn([1.0], 2), ValueError, r"k must be in \[0, 1\], got 2"),
        (lambda: coreset.keep_drawn([1.0, 0.0], 2), ValueError, "k must be at most 1, .* got 2"),
        (lambda: coreset.keep_drawn([-1.0], 1), ValueError, "probabilities must not be negative"),
        (lambda: coreset.keep_drawn([-1.0], 0), ValueError, "probabilities must not be negative"),
        (lambda: coreset.keep_drawn([1.0], 1, -1), ValueError, "seed must be in"),
        (lambda: coreset.keep_drawn([[1.0]], 1), ValueError, "one dimension"),
        (lambda: coreset.keep_offset([1.0, 2.0], 1, 2), ValueError, r"offset must be in \[0, 1\]"),
        (lambda: coreset.keep_balanced([0.5], 1), TypeError, "integer array"),
        (lambda: coreset.keep_balanced([0], 1, [1.0, 2.0]), ValueError, "labels must have 2"),
        (lambda: coreset.keep_balanced([0], 1, keep="hard"), ValueError, "keep must be one of"),
        (lambda: coreset.keep_strata([1.0, 2.0], 2, cutoff=0.5), ValueError, "k must be at most 1"),
        (lambda: coreset.keep_strata([1.0, np.inf], 1), ValueError, "scores must be finite"),
        (lambda: coreset.keep_strata([1.0], 1, cutoff=1.0), ValueError, "cutoff"),
    ],
)
def test_wrong_arguments_are_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_coreset_trains_through_a_sampler() -> None:
    kept = coreset.keep_highest(np.arange(10.0), 4)
    sampler = ds.Sampler(10, batch_size=2, subset=kept)
    assert sorted(np.concatenate(list(sampler)).tolist()) == [6, 7, 8, 9]
