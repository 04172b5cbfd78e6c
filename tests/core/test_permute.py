"""The keyed permutation: a bijection, equal to its oracle, and as uniform as a fair shuffle."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample.reference.permute import permute as reference_permute

SIZES = st.integers(0, 3000) | st.sampled_from([1024, 4096, 65536, 65537, 100003])
KEYS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**64 - 1),
        "epoch": st.integers(0, 2**32 - 1),
        "stream": st.integers(0, 2**32 - 1),
    }
)


def z_score(counts: np.ndarray, expected: float, freedom: int | None = None) -> float:
    """Chi-square of the counts as a normal deviate (Wilson and Hilferty)."""
    freedom = freedom or counts.size - 1
    chi = float(((counts - expected) ** 2).sum() / expected)
    spread = 2 / (9 * freedom)
    return ((chi / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


@given(SIZES, KEYS)
def test_it_is_a_bijection_equal_to_the_oracle(n: int, key: dict) -> None:
    order = ds.ops.permute(n, **key)
    assert order.dtype == np.int64
    assert np.array_equal(order, reference_permute(n, **key))
    assert np.array_equal(np.sort(order), np.arange(n))


@given(SIZES, KEYS, st.data())
def test_a_slice_is_a_part_of_the_whole(n: int, key: dict, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    order = ds.ops.permute(n, **key)
    assert np.array_equal(ds.ops.permute(n, start=start, stop=stop, **key), order[start:stop])
    ids = np.arange(n, dtype=np.uint32) * 3 + 1
    assert np.array_equal(
        ds.ops.order_slice(ids, start=start, stop=stop, **key), ids[order[start:stop]]
    )


@given(SIZES, KEYS)
def test_unpermute_is_the_inverse(n: int, key: dict) -> None:
    order = ds.ops.permute(n, **key)
    assert np.array_equal(ds.ops.unpermute(n, order, **key), np.arange(n))


@pytest.mark.parametrize("n", [2**31, 2**32 - 1])
def test_the_largest_domains(n: int) -> None:
    ends = [ds.ops.permute(n, seed=1, epoch=0, start=s, stop=s + 5) for s in (0, n - 5)]
    for start, part in zip((0, n - 5), ends, strict=True):
        assert ((part >= 0) & (part < n)).all()
        positions = ds.ops.unpermute(n, part, seed=1, epoch=0)
        assert np.array_equal(positions, np.arange(start, start + 5))


def test_threads_do_not_matter() -> None:
    order = ds.ops.permute(600000, seed=1, epoch=0)
    threads = ds._core.num_threads()
    try:
        ds._core.set_num_threads(3)
        assert np.array_equal(ds.ops.permute(600000, seed=1, epoch=0), order)
    finally:
        ds._core.set_num_threads(threads)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_every_small_permutation_is_equally_likely(n: int) -> None:
    trials = 60 * math.factorial(n)
    seen = Counter(tuple(ds.ops.permute(n, seed=s, epoch=0).tolist()) for s in range(trials))
    assert len(seen) == math.factorial(n)
    assert z_score(np.array(list(seen.values())), 60) < 5


@pytest.mark.parametrize(("n", "trials"), [(17, 6000), (100, 6000), (256, 6000), (1000, 6000)])
def test_values_and_neighbours_are_uniform(n: int, trials: int) -> None:
    places = np.zeros((n, n), np.int32)
    distances = (1, 2, n // 2)
    pairs = {d: np.zeros(n, np.int64) for d in distances}
    fixed = 0
    rows = np.arange(n)
    for seed in range(trials):
        order = ds.ops.permute(n, seed=seed, epoch=3)
        places[rows, order] += 1
        fixed += int((order == rows).sum())
        for d in distances:
            steps = (order[d : d + n // 2] - order[: n // 2]) % n
            pairs[d] += np.bincount(steps, minlength=n)
    assert abs(z_score(places, trials / n, (n - 1) ** 2)) < 5
    assert abs(fixed - trials) < 5 * math.sqrt(trials)
    for counts in pairs.values():
        assert counts[0] == 0
        # steps of one permutation are weakly dependent: close to chi-square, tested generously
        assert abs(z_score(counts[1:], trials * (n // 2) / (n - 1))) < 6


@pytest.mark.parametrize("n", [1000, 2**20])
def test_runs_are_as_long_as_those_of_a_fair_shuffle(n: int) -> None:
    trials = 2000 if n == 1000 else 10
    generator = np.random.default_rng(0)

    def ascents(order: np.ndarray) -> int:
        return int((order[1:] > order[:-1]).sum())

    ours = np.array([ascents(ds.ops.permute(n, seed=s, epoch=0)) for s in range(trials)])
    fair = np.array([ascents(generator.permutation(n)) for _ in range(trials)])
    deviation = math.sqrt((n + 1) / 12)
    for counts in (ours, fair):
        assert abs(counts.mean() - (n - 1) / 2) < 5 * deviation / math.sqrt(trials)
        assert abs((counts.var() / deviation**2 - 1) * math.sqrt(trials / 2)) < 6


def test_no_key_of_many_is_weak() -> None:
    n, bins, trials = 1024, 32, 3000
    worst = 0.0
    for seed in range(trials):
        order = ds.ops.permute(n, seed=seed, epoch=1)
        for distance in (32, 256, 512):
            steps = (order[distance:] - order[:-distance]) % n
            counts = np.bincount(steps * bins // n, minlength=bins)
            worst = max(worst, z_score(counts, len(steps) / bins))
    assert worst < 6.5  # keyed factors in the round function reached 11


@pytest.mark.parametrize("change", [{"seed": 8}, {"seed": 7 + 2**32}, {"epoch": 1}, {"stream": 1}])
def test_neighbouring_keys_are_unrelated(change: dict) -> None:
    n, key = 4096, {"seed": 7, "epoch": 0, "stream": 0}
    one, other = ds.ops.permute(n, **key), ds.ops.permute(n, **{**key, **change})
    assert (one == other).sum() < 12
    grid = np.histogram2d(one, other, bins=16)[0]
    assert abs(z_score(grid, n / 256, 225)) < 5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": -1}, ValueError, r"n must be in \[0, 4294967295\], got -1"),
        ({"n": 2**32}, ValueError, "n must be in"),
        ({"n": 2.0}, TypeError, "n must be an integer, got float 2.0"),
        ({"seed": 2**64}, ValueError, "seed must be in"),
        ({"seed": -1}, ValueError, "seed must be in"),
        ({"epoch": 2**32}, ValueError, "epoch must be in"),
        ({"stop": 11}, ValueError, r"stop must be in \[0, 10\], got 11"),
        ({"start": 5, "stop": 4}, ValueError, r"start must be in \[0, 4\], got 5"),
        ({"start": -1}, ValueError, "start must be in"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        ds.ops.permute(**{"n": 10, "seed": 0, "epoch": 0, **arguments})


def test_bad_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match="ids must have dtype uint32, got int64"):
        ds.ops.order_slice(np.arange(3), seed=0, epoch=0)
    with pytest.raises(IndexError, match=r"values must be in \[0, 3\), got 3 at 1"):
        ds.ops.unpermute(3, np.array([0, 3]), seed=0, epoch=0)
    with pytest.raises(IndexError, match="got -1 at 0"):
        ds.ops.unpermute(3, np.array([-1]), seed=0, epoch=0)
