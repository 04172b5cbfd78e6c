"""Draws without replacement: one exact set, whether keys are made as they are read or stored."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynsample import _core
from dynsample.reference import draw as reference
from dynsample.reference.random import philox

KEY = {"seed": 7, "epoch": 3}
WORD_0 = {"seed": 1049597, "epoch": 0}  # the word of row ROW_OF_WORD_0 is 0: one of 2**32 is
ROW_OF_WORD_0 = 871


def chances(size: int, where: np.ndarray | None) -> np.ndarray:
    return np.ones(size, np.float32) if where is None else where.astype(np.float32)


def check_sample(size: int, where: np.ndarray | None, ks: list[int], seed: int, epoch: int) -> None:
    keys = reference.race_keys(chances(size, where), seed, epoch)
    order = np.argsort(keys, kind="stable")
    for k in ks:
        expected = np.zeros(size, bool)
        expected[order[:k]] = True
        np.testing.assert_array_equal(_core.sample_mask(size, where, k, seed, epoch), expected)


@pytest.fixture(params=[1, 2, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = _core.num_threads()
    _core.set_num_threads(request.param)
    yield
    _core.set_num_threads(before)


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 2**64 - 1), st.data())
def test_a_sample_of_few_rows_equals_the_oracle(
    bits: list[bool], seed: int, data: st.DataObject
) -> None:
    where = data.draw(st.sampled_from([None, np.array(bits, bool)]))
    k = data.draw(st.integers(0, len(bits) if where is None else sum(bits)))
    check_sample(len(bits), where, [k], seed, data.draw(st.integers(0, 2**32 - 1)))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("size", [4095, 4096, 4097, 65_537, 300_007])
@pytest.mark.parametrize("share", [None, 0.0, 0.001, 0.6, 1.0])
def test_a_sample_of_many_rows_equals_the_oracle(size: int, share: float | None) -> None:
    where = None if share is None else np.random.default_rng(size).random(size) < share
    most = size if where is None else int(where.sum())
    ks = {k for k in (0, 1, most // 3, most - 1, most) if 0 <= k <= most}
    check_sample(size, where, sorted(ks), **KEY)


def test_a_thousand_of_a_million_rows_may_be_sampled() -> None:
    where = np.zeros(1_000_003, bool)
    where[np.random.default_rng(0).choice(len(where), 1000, replace=False)] = True
    check_sample(len(where), where, [1, 500, 1000], **KEY)


@pytest.mark.parametrize("part", [False, True])
def test_words_that_share_a_key_tie_to_the_smaller_row(part: bool) -> None:
    """The k-th and the next have one key, and the words alone would let the next go first."""
    size = 300_007
    where = np.arange(size) % 4 > 0 if part else None
    keys = reference.race_keys(chances(size, where), **KEY)
    words = philox(KEY["seed"], 0, (size + 3) // 4, KEY["epoch"], _core.Stream.RACE)[:size]
    order = np.argsort(keys, kind="stable")
    there = keys[order] < 2**32 - 1
    ties = (np.diff(keys[order]) == 0) & (words[order[:-1]] < words[order[1:]]) & there[1:]
    found = np.flatnonzero(ties)
    assert len(found) > 100
    check_sample(size, where, [int(k) + 1 for k in found[:: len(found) // 20]], **KEY)


def words_with_their_next() -> np.ndarray:
    ends = [0, 2**32 - 1, 2**31, *(2**j for j in range(32)), *(2**32 - 2**j for j in range(32))]
    near = np.concatenate([np.arange(end - 3000, end + 3000) for end in ends])
    anywhere = np.random.default_rng(0).integers(0, 2**32 - 1, 2_000_000)
    return np.unique(np.clip(np.concatenate([near, anywhere]), 0, 2**32 - 2))


def test_no_exponential_is_above_that_of_a_smaller_word() -> None:
    words = words_with_their_next()
    here = reference.exponential(words.astype(np.uint32))
    following = reference.exponential((words + 1).astype(np.uint32))
    assert (following <= here).all()
    assert (np.diff(here) <= 0).all()
    assert here[0] > following[0]  # that of word 0 is the largest, alone


@pytest.mark.parametrize("size", [1000, 5003, 150_001])
def test_the_row_of_word_0_comes_last_and_is_drawn_with_all_others(size: int) -> None:
    words = philox(WORD_0["seed"], 0, (size + 3) // 4, WORD_0["epoch"], _core.Stream.RACE)
    assert words[ROW_OF_WORD_0] == 0
    last = _core.sample_mask(size, None, size - 1, *WORD_0.values())
    assert np.flatnonzero(~last).tolist() == [ROW_OF_WORD_0]
    assert _core.sample_mask(size, None, size, *WORD_0.values()).all()
    where = np.arange(size) % 3 > 0
    where[ROW_OF_WORD_0] = True
    most = int(where.sum())
    check_sample(size, where, [most // 2, most - 1, most], **WORD_0)
    where[ROW_OF_WORD_0] = False
    check_sample(size, where, [most // 2, most - 1], **WORD_0)


def sampled(size: int) -> np.ndarray:
    """Return the rows that a selection by made keys samples: those of aligned scores."""
    scores = np.zeros(size + 8, np.float32)
    start = -(scores.ctypes.data // scores.itemsize) % 8
    return _core.sampled_rows(scores[start : start + size])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("size", [60_000, 300_007])
def test_a_sample_of_keys_that_misleads_changes_nothing(size: int) -> None:
    rows = sampled(size)
    for of_sampled in (1e-9, 1e9):  # their keys are the largest, or the smallest
        p = np.ones(size, np.float32)
        p[rows] = of_sampled
        for k in (size // 10, size // 2, size - 1):
            expected = reference.draw_mask(p, k, **KEY)
            np.testing.assert_array_equal(_core.draw_mask(p, k, *KEY.values()), expected)
    p = np.ones(size, np.float32)
    p[rows] = np.where(np.arange(len(rows)) % 100, 1e-6, 1)  # there are many more below the k-th
    for k in (1, size // 2000, size // 500):
        expected = reference.draw_mask(p, k, **KEY)
        np.testing.assert_array_equal(_core.draw_mask(p, k, *KEY.values()), expected)
    for where in (np.isin(np.arange(size), rows), ~np.isin(np.arange(size), rows)):
        most = int(where.sum())
        check_sample(size, where, [1, most // 2, most - 1, most], **KEY)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("size", [4096, 4097, 300_007])
def test_a_draw_of_many_rows_equals_the_oracle(size: int) -> None:
    p = (np.random.default_rng(size).random(size) ** 9).astype(np.float32)
    p[::3] = 0
    most = int((p > 0).sum())
    for k in (0, 1, most // 3, most - 1, most):
        expected = reference.draw_mask(p, k, **KEY)
        np.testing.assert_array_equal(_core.draw_mask(p, k, *KEY.values()), expected)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("chances", ["alike", "tiny", "one far above", "odd", "few"])
@pytest.mark.parametrize("size", [5000, 131_075, 300_007])
def test_few_of_many_rows_are_those_of_the_oracle(size: int, chances: str) -> None:
    """Most rows are out by their words alone, whatever the largest chance is."""
    random = np.random.default_rng(size)
    p = random.uniform(0.01, 0.26, size).astype(np.float32)
    if chances == "tiny":
        p *= np.float32(1e-43)  # subnormal, and 0
    elif chances == "one far above":
        p[size // 3] = 3e38
    elif chances == "odd":
        p[random.random(size) < 0.01] = np.nan
        p[random.random(size) < 0.01] = np.inf
    elif chances == "few":
        p[random.random(size) < 0.99] = -0.0
    most = int((p != 0).sum())
    for k in {1, 2, 17, size // 500, size // 60, size // 9}:
        expected = reference.draw_mask(p, min(k, most), **KEY)
        np.testing.assert_array_equal(_core.draw_mask(p, min(k, most), *KEY.values()), expected)


def test_bytes_of_where_other_than_1_are_true() -> None:
    where = np.arange(9000, dtype=np.uint8) % 3 * 0x7F
    mask = _core.sample_mask(9000, where.view(bool), 2000, *KEY.values())
    np.testing.assert_array_equal(mask, _core.sample_mask(9000, where > 0, 2000, *KEY.values()))
