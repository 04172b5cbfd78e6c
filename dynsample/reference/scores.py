"""Oracle of the scores and coresets: one sample at a time, from plain arrays and text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def uncertainty(window: Sequence[float] | NDArray[np.floating]) -> float:
    """10 * standard deviation (ddof = 1), in double, in the order of the slots."""
    return float(10.0 * _spread(window)[1])


def dual(window: Sequence[float] | NDArray[np.floating]) -> float:
    """10 * standard deviation * (1 - mean), as above."""
    mean, deviation = _spread(window)
    with np.errstate(all="ignore"):
        return float(10.0 * deviation * (1.0 - mean))


def _spread(window: Sequence[float] | NDArray[np.floating]) -> tuple[np.float64, np.float64]:
    values = [float(value) for value in window]
    with np.errstate(all="ignore"):  # infinities
        total = squares = np.float64(0.0)
        for value in values:
            total += value
        mean = total / len(values)
        for value in values:
            squares += (value - mean) * (value - mean)
        return mean, np.sqrt(squares / (len(values) - 1))


def dyn_unc(folder: Path, num_samples: int, window: int) -> list[float]:
    """Mean uncertainty of every line of the files of a `pred_prob_history`, as published.

    A window begins as zeros; a probability of 0 leaves it as it is; every file from the
    `window`-th to the last but one adds its uncertainty.
    """
    files = sorted(folder.iterdir(), key=lambda path: int(re.findall(r"\d+", path.name)[0]))
    windows = [[0.0] * window for _ in range(num_samples)]
    totals = [0.0] * num_samples
    for number, path in enumerate(files):
        for row, line in enumerate(path.read_text().splitlines()):
            if float(line) != 0:
                windows[row] = [*windows[row][1:], float(line)]
            if window - 1 <= number < len(files) - 1:
                totals[row] += uncertainty(windows[row])
    return [total / (len(files) - window) for total in totals]


def dyn_unc_lines(folder: Path, file_list: Path, window: int, fraction: float) -> bytes:
    """Lines of `file_list` with the int(fraction * lines) highest uncertainties, in their order."""
    lines = file_list.read_bytes().splitlines(keepends=True)
    scores = dyn_unc(folder, len(lines), window)
    order = sorted(range(len(lines)), key=lambda i: (scores[i], i))
    kept = set(order[len(lines) - int(fraction * len(lines)) :])
    return b"".join(line for i, line in enumerate(lines) if i in kept)


def beta_probabilities(
    scores: Sequence[float], means: Sequence[float], pruning_ratio: float, c_d: float
) -> list[float]:
    """Score times the density of the Beta distribution at the mean, of sum 1 (DUAL)."""
    rows = [i for i in range(len(scores)) if not math.isnan(scores[i] + means[i])]
    hardest = sorted(rows, key=lambda i: (scores[i], i))[-10:]
    anchor = math.fsum(means[i] for i in hardest) / len(hardest) if hardest else 0.0
    b = 15 * (1 - anchor) * (1 - pruning_ratio**c_d)
    a = 16 - b
    products = [math.nan] * len(scores)
    for i in rows:
        log = (a - 1) * math.log(means[i]) + (b - 1) * math.log1p(-means[i])
        beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
        products[i] = scores[i] * math.exp(log - beta)
    total = math.fsum(products[i] for i in rows)
    return [product / total for product in products]


def shares(sizes: Sequence[int], k: int) -> list[int]:
    """Split k over groups, smallest first: each an equal part of what is left, or all it has."""
    taken = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda i: (sizes[i], i))
    for place, i in enumerate(order):
        taken[i] = min(sizes[i], k // (len(sizes) - place))
        k -= taken[i]
    return taken


def strata_of(scores: Sequence[float], count: int) -> list[int]:
    """Return the equal-width stratum of each score; the last one holds the highest."""
    low, high = min(scores), max(scores)
    if low == high:
        return [0] * len(scores)
    width = (high - low) / count
    return [min(count - 1, math.floor((score - low) / width)) for score in scores]
