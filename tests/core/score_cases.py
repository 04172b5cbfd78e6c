"""Scores for the tests of selections and reductions: usual, tied, special, ordered."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

SPECIAL = np.array(
    [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45, 3.4e38, -3.4e38, 1.0], np.float32
)


def scores(max_size: int = 300) -> st.SearchStrategy[np.ndarray]:
    """Any bits; and few distinct values, the special ones, so that ties abound."""
    length = st.integers(0, max_size)
    any_bits = npst.arrays(np.uint32, length).map(lambda bits: bits.view(np.float32))
    ties = npst.arrays(np.intp, length, elements=st.integers(0, len(SPECIAL) - 1))
    return any_bits | ties.map(lambda index: SPECIAL[index])


def large(kind: str, n: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    normal = random.standard_normal(n).astype(np.float32)
    match kind:
        case "normal":
            return normal
        case "5 % ties":
            return np.where(random.random(n) < 0.05, np.float32(-0.52), normal)
        case "some NaN":
            return np.where(random.random(n) < 0.01, np.float32(np.nan), normal)
        case "sorted":
            return np.sort(normal)
        case "descending":
            return np.sort(normal)[::-1].copy()
        case "constant":
            return np.full(n, 2.5, np.float32)
        case "zeros of both signs":
            return np.where(random.random(n) < 0.5, np.float32(0), np.float32(-0.0))
        case "levels":
            return random.integers(0, 5, n).astype(np.float32)
        case "by class":
            return np.repeat(random.standard_normal(n // 1300 + 1), 1300)[:n].astype(np.float32)
        case "any bits":
            return random.integers(0, 2**32, n, dtype=np.uint32).view(np.float32)
    raise AssertionError(kind)


KINDS = [
    "normal", "5 % ties", "some NaN", "sorted", "descending", "constant", "zeros of both signs",
    "levels", "by class", "any bits",
]  # fmt: skip
