"""Draws: equal to their oracles, distributed as the fixed-point rates say, never a zero."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample import _core
from dynsample.reference import draw as reference

PROBABILITY = st.one_of(
    st.just(0.0),
    st.floats(0, 1, width=32),
    st.floats(0, 3.4028234663852886e38, width=32),
    st.sampled_from([1e-45, 1e-38, 1.1754943508222875e-38, 1.0, 1e38, math.inf, math.nan, -0.0]),
)
ROWS = st.lists(PROBABILITY, max_size=60).map(lambda rows: np.array(rows, np.float32))
KEY = st.fixed_dictionaries({"seed": st.integers(0, 2**64 - 1), "epoch": st.integers(0, 2**32 - 1)})
METHODS = ["systematic", "multinomial"]


def positive(p: np.ndarray) -> int:
    return int((~(p == 0)).sum())


@pytest.mark.parametrize("method", METHODS)
@given(p=ROWS, k=st.integers(0, 200), key=KEY)
def test_counts_equal_the_oracle(method: str, p: np.ndarray, k: int, key: dict) -> None:
    if k and not positive(p):
        with pytest.raises(ValueError, match="probabilities must have a positive entry"):
            ds.ops.draw_counts(p, k, method=method, **key)
        return
    counts = ds.ops.draw_counts(p, k, method=method, **key)
    assert counts.dtype == np.uint32
    assert counts.sum() == k
    assert not counts[p == 0].any()
    assert np.array_equal(counts, reference.draw_counts(p, k, method=method, **key))
    rows = ds.ops.draw(p, k, replacement=True, method=method, **key)
    expected = np.repeat(np.arange(len(p)), counts)
    assert np.array_equal(rows, reference.in_order(expected, **key))


@given(p=ROWS, key=KEY, data=st.data())
def test_the_mask_equals_the_oracle(p: np.ndarray, key: dict, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, positive(p)))
    mask = ds.ops.draw_mask(p, k, **key)
    assert mask.sum() == k
    assert not mask[p == 0].any()
    assert np.array_equal(mask, reference.draw_mask(p, k, **key))
    rows = ds.ops.draw(p, k, replacement=False, **key)
    assert np.array_equal(rows, reference.in_order(np.flatnonzero(mask), **key))


@pytest.mark.parametrize("n", [1000, 5003])
def test_long_inputs_equal_the_oracle(n: int) -> None:
    p = np.random.default_rng(n).exponential(size=n).astype(np.float32)
    for method in METHODS:
        counts = ds.ops.draw_counts(p, n, seed=1, epoch=2, method=method)
        assert np.array_equal(counts, reference.draw_counts(p, n, seed=1, epoch=2, method=method))
    mask = ds.ops.draw_mask(p, n // 3, seed=1, epoch=2)
    assert np.array_equal(mask, reference.draw_mask(p, n // 3, seed=1, epoch=2))


@pytest.mark.parametrize("method", METHODS)
def test_draws_from_more_rows_than_one_thread_takes_equal_the_oracle(method: str) -> None:
    random = np.random.default_rng(3)
    p = (random.random(300_007) ** 9).astype(np.float32)
    p[random.random(len(p)) < 0.3] = 0
    key = {"seed": 5, "epoch": 6}
    counts = ds.ops.draw_counts(p, 1001, method=method, **key)
    assert np.array_equal(counts, reference.draw_counts(p, 1001, method=method, **key))
    many = ds.ops.draw_counts(p, len(p), method=method, **key)
    rows = ds.ops.draw(p, len(p), replacement=True, method=method, **key)
    assert np.array_equal(rows, reference.in_order(np.repeat(np.arange(len(p)), many), **key))


@pytest.mark.parametrize(
    ("n", "k"), [(2047, 9), (2048, 100_000), (2049, 200_001), (50_000, 300_000), (3, 2**23 + 5)]
)
def test_points_count_for_the_row_that_the_cumulative_rates_say(n: int, k: int) -> None:
    p = (np.random.default_rng(n).random(n) ** 20).astype(np.float32)
    p[n // 3] = 0
    until = np.cumsum(np.array(reference.rates(p, k), np.uint64))
    points = _core.multinomial_points(int(until[-1]), 8, 9, 0, k)
    expected = np.bincount(np.searchsorted(until, points, side="right"), minlength=n)
    counts = ds.ops.draw_counts(p, k, seed=8, epoch=9, method="multinomial")
    assert np.array_equal(counts, expected)


@given(p=ROWS, k=st.integers(1, 1000))
def test_inverse_probabilities_come_from_the_same_integers(p: np.ndarray, k: int) -> None:
    if positive(p):
        inverse = ds.ops.inverse_probabilities(p, k)
        assert np.array_equal(inverse, reference.inverse_probabilities(p, k))
        assert np.array_equal(inverse == 0, p == 0)


@given(p=ROWS, k=st.integers(1, 2**20))
def test_the_circle_holds_every_pointer_once(p: np.ndarray, k: int) -> None:
    if positive(p):
        rates = reference.rates(p, k)
        assert k << 32 <= sum(rates) <= (k << 32) * (1 + 2**-30) + len(p)


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    freedom = (expected > 0).sum() - 1
    chi = ((counts - expected)[expected > 0] ** 2 / expected[expected > 0]).sum()
    spread = 2 / (9 * freedom)
    return ((chi / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


P = np.array([0, 1, 2, 3, 0.5, 10, 0, 4, 1e-3, 1], np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_counts_have_their_expectation(method: str) -> None:
    k, trials = 7, 20000
    total = np.zeros(len(P))
    for seed in range(trials):
        total += ds.ops.draw_counts(P, k, seed=seed, epoch=0, method=method)
    rates = np.array(reference.rates(P, k), float)
    assert chi_square(total, trials * k * rates / rates.sum()) < 5


def test_the_first_of_the_race_is_proportional() -> None:
    trials = 20000
    total = np.zeros(len(P))
    for seed in range(trials):
        total += ds.ops.draw_mask(P, 1, seed=seed, epoch=0)
    assert abs(chi_square(total, trials * P / P.sum())) < 5


def test_pairs_without_replacement_are_drawn_one_after_the_other() -> None:
    p, trials = np.array([1, 2, 5], np.float32), 20000
    total = np.zeros(3)
    for seed in range(trials):
        total += ~ds.ops.draw_mask(p, 2, seed=seed, epoch=1)
    left = [
        sum(
            p[a] / 8 * p[b] / (8 - p[a])
            for a in range(3)
            for b in range(3)
            if {a, b, c} == {0, 1, 2}
        )
        for c in range(3)
    ]
    assert abs(chi_square(total, trials * np.array(left))) < 5


def test_inverse_probabilities_make_the_draw_unbiased() -> None:
    p = np.random.default_rng(0).uniform(0.2, 2, 50).astype(np.float32)
    values = np.random.default_rng(1).normal(size=50)
    k, trials = 50, 4000
    weighted = values * ds.ops.inverse_probabilities(p, k)
    estimates = np.array(
        [(weighted * ds.ops.draw_counts(p, k, seed=s, epoch=0)).sum() / k for s in range(trials)]
    )
    error = estimates.std() / math.sqrt(trials)
    assert abs(estimates.mean() - values.mean()) < 5 * error


def test_exponentials_are_accurate_over_all_words() -> None:
    words = np.concatenate(
        [
            np.arange(1000, dtype=np.uint32),
            np.uint32(2**32 - 1) - np.arange(1000, dtype=np.uint32),
            np.random.default_rng(0).integers(0, 2**32, 100000, dtype=np.uint32),
        ]
    )
    u = (words.astype(np.longdouble) + 0.5) / 2**32
    exact = np.where(
        u < 0.5, -np.log(u), -np.log1p(-((2**32 - 0.5 - words.astype(np.longdouble)) / 2**32))
    )
    assert (np.abs(reference.exponential(words) / exact - 1) < 5e-7).all()


def test_subnormal_and_huge_probabilities_race_fairly() -> None:
    p = np.array([1e-45, 1e-44, 1e38, 3e38], np.float32)
    firsts = np.zeros(4)
    thirds = np.zeros(4)
    for seed in range(4000):
        one, three = (ds.ops.draw_mask(p, k, seed=seed, epoch=0) for k in (1, 3))
        firsts += one
        thirds += three
    assert firsts[:2].sum() == 0
    assert abs(chi_square(firsts[2:], 4000 * np.array([1, 3]) / 4)) < 5
    tiny = p[:2].astype(np.float64)
    assert abs(chi_square(thirds[:2], 4000 * tiny / tiny.sum())) < 5


VALUES = st.lists(
    st.floats(-100, 100, width=32) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.0]),
    max_size=80,
).map(lambda rows: np.array(rows, np.float32))


@given(VALUES, st.floats(0, 8), KEY, st.booleans())
def test_coins_equal_the_oracle(values: np.ndarray, beta: float, key: dict, part: bool) -> None:
    where = np.arange(len(values)) % 3 > 0 if part else None
    kept = ds.ops.bernoulli_cdf(values, beta, where=where, **key)
    assert np.array_equal(kept, reference.bernoulli_cdf(values, beta, where=where, **key))
    takes_part = np.isfinite(values) if where is None else np.isfinite(values) & where
    assert kept[~takes_part].all()
    if takes_part.any():
        assert kept[takes_part & (values == values[takes_part].max())].all()


def test_coins_of_more_rows_than_one_thread_takes_equal_the_oracle() -> None:
    values = np.random.default_rng(4).exponential(size=300_007).astype(np.float32)
    values[::97] = math.nan
    where = np.arange(len(values)) % 5 > 0
    for part in (None, where):
        kept = ds.ops.bernoulli_cdf(values, 0.43, seed=1, epoch=2, where=part)
        expected = reference.bernoulli_cdf(values, 0.43, seed=1, epoch=2, where=part)
        assert np.array_equal(kept, expected)


def test_coins_keep_the_share_of_the_paper() -> None:
    values = np.random.default_rng(0).permutation(100000).astype(np.float32)
    for beta in (0.43, 1, 2, 3):
        kept = ds.ops.bernoulli_cdf(values, beta, seed=1, epoch=1).mean()
        assert abs(kept - 1 / (1 + beta)) < 0.008


@given(
    st.lists(PROBABILITY, max_size=40).map(lambda rows: np.array(rows, np.float32)),
    st.floats(-20, 20),
)
def test_power_equals_the_oracle_and_the_library(values: np.ndarray, exponent: float) -> None:
    ours = ds.ops.power(values, exponent)
    assert np.array_equal(ours, reference.power(values, exponent), equal_nan=True)
    with np.errstate(all="ignore"):
        library = values.astype(np.float64) ** exponent
        library[values == 0] = 0
        library[np.isnan(values)] = np.nan
        assert np.allclose(ours, library.astype(np.float32), rtol=3e-7, atol=2e-45, equal_nan=True)


def test_power_of_many_rows_equals_the_oracle() -> None:
    values = np.random.default_rng(0).exponential(size=5003).astype(np.float32)
    values[::50] = np.resize(np.float32([0, -0.0, math.inf, math.nan, 1e-45, 3.4e38]), 101)
    for exponent in (-2.5, -5e-324, 0.0, 5e-324, 0.43, 1.0, 300.0, 1e300):
        expected = reference.power(values, exponent)
        assert np.array_equal(ds.ops.power(values, exponent), expected, equal_nan=True)


def test_power_names_the_first_of_the_negative_values() -> None:
    values = np.ones(600_000, np.float32)
    values[[77_777, 599_999]] = -2, -3
    with pytest.raises(ValueError, match="got -2 at 77777"):
        ds.ops.power(values, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: ds.ops.draw_counts(-p, 1, seed=0, epoch=0), ValueError, "got -1 at 1"),
        (lambda p: ds.ops.draw_counts(p, -1, seed=0, epoch=0), ValueError, r"k must be in \[0,"),
        (lambda p: ds.ops.draw_counts(p, 2**32, seed=0, epoch=0), ValueError, "k must be in"),
        (lambda p: ds.ops.draw_counts(p, 1.5, seed=0, epoch=0), TypeError, "k must be an integer"),
        (lambda p: ds.ops.draw_counts(p * 1j, 1, seed=0, epoch=0), TypeError, "real numbers"),
        (lambda p: ds.ops.draw_counts(p[None], 1, seed=0, epoch=0), ValueError, "one dimension"),
        (lambda p: ds.ops.draw_counts(p, 1, seed=-1, epoch=0), ValueError, "seed must be in"),
        (lambda p: ds.ops.draw_mask(p, 9, seed=0, epoch=0), ValueError, "probabilities, 8, got 9"),
        (lambda p: ds.ops.power(-p, 2), ValueError, "values must not be negative, got -1 at 1"),
        (lambda p: ds.ops.power(p, math.nan), ValueError, "exponent must be finite"),
        (lambda p: ds.ops.bernoulli_cdf(p, -1, seed=0, epoch=0), ValueError, "beta must be"),
        (
            lambda p: ds.ops.draw(p, 1, replacement=True, seed=0, epoch=0, method="alias"),
            ValueError,
            "method must be one of systematic, multinomial, got 'alias'",
        ),
        (
            lambda p: ds.ops.bernoulli_cdf(p, 1, seed=0, epoch=0, where=np.ones(3, bool)),
            ValueError,
            "where must have 10 rows, as many as values, got 3",
        ),
    ],
)
def test_bad_arguments_are_refused(call: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call(P)
