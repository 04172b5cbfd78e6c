"""Draws by probability, one row at a time where that is clearer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dynsample._core import Stream
from dynsample.reference.permute import permute
from dynsample.reference.random import philox

F32 = np.float32
Floats = NDArray[np.float32]


def finite_probabilities(probabilities: Floats) -> Floats:
    """`probabilities` with the largest finite one for those that are not finite."""
    finite = np.isfinite(probabilities)
    largest = probabilities[finite].max(initial=0) or F32(1)
    return np.where(finite, probabilities, largest)


def rates(probabilities: Floats, k: int) -> list[int]:
    """Fixed-point rates in units of 2**-32 of a draw, as Python integers."""
    p = finite_probabilities(probabilities)
    bits = p.view(np.uint32)
    exponent, fraction = bits >> 23 & 0xFF, bits & 0x7FFFFF
    total = 0.0
    for e in range(254, -1, -1):
        part = fraction[exponent == e].astype(object).sum() or 0
        part += (1 << 23) * int((exponent == e).sum()) if e else 0
        total += math.ldexp(float(part), max(e, 1) - 150)
    scale = k * 2.0**32 / total * (1 + 2.0**-40) if total else 0.0
    return [int(float(x) * scale) + 1 if x > 0 else 0 for x in p]


def _uniform(low: int, high: int, total: int) -> int:
    return (int(high) << 32 | int(low)) * total >> 64


def draw_counts(
    probabilities: Floats, k: int, *, seed: int, epoch: int, method: str = "systematic"
) -> NDArray[np.uint32]:
    """Look up every pointer in the cumulative rates and count."""
    until = np.cumsum(np.array(rates(probabilities, k), dtype=object))
    if k == 0:
        return np.zeros(len(probabilities), np.uint32)
    total = until[-1]
    if method == "systematic":
        low, high = philox(seed, 0, 1, epoch, Stream.DRAW)[:2]
        start = _uniform(low, high, total)
        points = [(start + (j << 32)) % total for j in range(k)]
    else:
        words = philox(seed, 0, (k + 1) // 2, epoch, Stream.MULTINOMIAL).reshape(-1, 2)[:k]
        points = [_uniform(low, high, total) for low, high in words]
    rows = np.searchsorted(until, np.array(points, dtype=object), side="right")
    return np.bincount(rows, minlength=len(probabilities)).astype(np.uint32)


def in_order(rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Arrange what was drawn in random order."""
    return rows[permute(len(rows), seed=seed, epoch=epoch, stream=Stream.DRAW_ORDER)]


def inverse_probabilities(probabilities: Floats, k: int) -> Floats:
    """R / (N r), 0 where r is 0."""
    r = rates(probabilities, k)
    total = float(sum(r))
    return np.array([total / (len(r) * float(x)) if x else 0.0 for x in r], np.float32)


def exponential(words: NDArray[np.uint32]) -> Floats:
    """-log((word + 1/2) / 2**32) in float32, by + - * / only."""
    upper = words >> 31 == 1
    tail = (np.where(upper, ~words, words).astype(F32) + F32(0.5)) * F32(2.0**-32)
    u = np.where(upper, F32(1) - tail, tail)
    shifted = u.view(np.uint32) + np.uint32(0x3F800000 - 0x3F3504F3)
    exponent = (shifted >> 23).astype(np.int32) - 127
    m = ((shifted & 0x7FFFFF) + np.uint32(0x3F3504F3)).view(F32)
    near_one = upper & (exponent == 0)
    s = np.where(near_one, -tail, m - F32(1)) / np.where(near_one, F32(2) - tail, m + F32(1))
    z = s * s
    series = F32(1.0) / F32(9)
    for divisor in (7, 5, 3):
        series = series * z + F32(1.0) / F32(divisor)
    log_m = F32(2) * s + F32(2) * s * (series * z)
    result: Floats = -(exponent.astype(F32) * F32(0.693147182) + log_m)
    return result


def race_keys(
    probabilities: Floats, seed: int, epoch: int, stream: int = Stream.RACE
) -> NDArray[np.int64]:
    """Keys that order as E / p: the float32 quotient of E and p's mantissa, exponents apart."""
    n = len(probabilities)
    words = philox(seed, 0, (n + 3) // 4, epoch, stream)[:n]
    mantissa, exponent = np.frexp(finite_probabilities(probabilities).astype(np.float64))
    positive = mantissa > 0
    quotient = exponential(words) / np.where(positive, 2 * mantissa, 1).astype(F32)
    keys = quotient.view(np.uint32).astype(np.int64)
    keys += (167 - 126 - exponent.astype(np.int64)) << 23
    return np.where(positive, keys, 2**32 - 1)


def draw_mask(
    probabilities: Floats, k: int, *, seed: int, epoch: int, stream: int = Stream.RACE
) -> NDArray[np.bool_]:
    """Take the k rows with the smallest keys, ties to the smaller row."""
    mask = np.zeros(len(probabilities), np.bool_)
    mask[np.argsort(race_keys(probabilities, seed, epoch, stream), kind="stable")[:k]] = True
    return mask


def bernoulli_cdf(
    values: Floats,
    beta: float,
    *,
    seed: int,
    epoch: int,
    where: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Keep with probability share ** beta."""
    n = len(values)
    part = np.isfinite(values) if where is None else np.isfinite(values) & where
    kept = np.ones(n, np.bool_)
    x = values[part].astype(np.float64)
    if len(x) == 0 or x.min() == x.max():
        return kept
    bins = np.minimum((1000 * ((x - x.min()) / (x.max() - x.min()))).astype(np.int64), 999)
    share = np.cumsum(np.bincount(bins, minlength=1000)) / len(x)
    probability = np.array([min(power_of(float(s), beta), 1.0) for s in share])
    words = philox(seed, 0, (n + 3) // 4, epoch, Stream.BERNOULLI)[:n]
    kept[part] = words[part] < np.floor(probability * 2.0**32)[bins]
    return kept


LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42fefa3800p-1"), float.fromhex("0x1.ef35793c76730p-45")


def power_of(x: float, exponent: float) -> float:
    """`x ** exponent` by + - * / in a fixed order; relative error about 1e-15 near 1."""
    if math.isnan(x) or x == 0:
        return x if math.isnan(x) else 0.0
    if exponent == 0:
        return 1.0
    if math.isinf(x):
        return x if exponent > 0 else 0.0
    m, e = math.frexp(x)
    if m < float.fromhex("0x1.6a09e667f3bcdp-1"):
        m, e = 2 * m, e - 1
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = 1.0 / 23
    for term in range(21, 2, -2):
        series = series * z + 1.0 / term
    log = e * LN2_HIGH + (e * LN2_LOW + (2.0 * s + 2.0 * s * (series * z)))
    return exp_of(exponent * log)


def exp_of(x: float) -> float:
    """Return e ** x by + - * / in a fixed order; NaN stays NaN."""
    if math.isnan(x):
        return x
    if x > 710:
        return math.inf
    if x < -746:
        return 0.0
    scaled = x * float.fromhex("0x1.71547652b82fep+0")
    n = int(scaled + (-0.5 if scaled < 0 else 0.5))
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    total = 1.0
    for term in range(14, 0, -1):
        total = 1.0 + total * r / term
    half = int(n / 2)
    return total * 2.0**half * 2.0 ** (n - half)


def power(values: Floats, exponent: float) -> Floats:
    """Row by row."""
    with np.errstate(over="ignore"):
        return np.array([power_of(float(x), exponent) for x in values], np.float64).astype(F32)
