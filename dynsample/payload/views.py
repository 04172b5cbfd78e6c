"""What a teacher is to look at: crops, flips and mixes, drawn once for a whole epoch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import ops
from dynsample._core import Stream
from dynsample.kernels import Array
from dynsample.kernels.checks import random_key, real
from dynsample.payload.facts import Facts

_TRIES = 10
Arrays = dict[str, NDArray[Any]]


class Views:
    """Random crops, flips and mixes: a function of (seed, epoch, sample) on one numpy version.

    Has `batch(epoch, index)` as a `Store` has, so that a loader takes either; a store of what the
    teacher saw keeps them whatever a later numpy draws.

    Parameters
    ----------
    facts : Facts
        What the store to be written is of: `crops`, `mix` and `size` say what to draw.
    seed : int in [0, 2**64)
    area : (float, float)
        Least and most share of the image's area that a crop has.
    aspect : (float, float)
        Least and most width of a crop over its height, both as shares of the image's.
    flip : float in [0, 1]
        Share of the crops that are mirrored.
    alpha : float above 0
        Parameter of lambda's Beta distribution; 1 is uniform.

    References
    ----------
    Yin et al., "Squeeze, Recover and Relabel", NeurIPS 2023; Shen and Xing, "A Fast Knowledge
    Distillation Framework for Visual Recognition", ECCV 2022.

    Examples
    --------
    >>> views = ds.payload.Views(ds.payload.Facts(1000, num_classes=10), seed=0)
    >>> first, second = (views.batch(3, np.array([7]))["crop"] for _ in range(2))
    >>> bool((first == second).all())
    True
    """

    def __init__(
        self,
        facts: Facts,
        *,
        seed: int = 0,
        area: tuple[float, float] = (0.08, 1.0),
        aspect: tuple[float, float] = (3 / 4, 4 / 3),
        flip: float = 0.5,
        alpha: float = 1.0,
    ) -> None:
        self.facts = facts
        self.seed = random_key(seed, 0)[0]
        self.area = real(area[0], "area[0]", "(0, 1]"), real(area[1], "area[1]", "(0, 1]")
        self.aspect = (
            real(aspect[0], "aspect[0]", "(0, inf)"),
            real(aspect[1], "aspect[1]", "(0, inf)"),
        )
        if self.area[0] > self.area[1] or self.aspect[0] > self.aspect[1]:
            raise ValueError(f"area and aspect must be (least, most), got {area} and {aspect}")
        self.flip = real(flip, "flip", "[0, 1]")
        self.alpha = real(alpha, "alpha", "(0, inf)")
        self._drawn: tuple[int, Arrays] | None = None

    def batch(self, epoch: int, index: Array) -> Arrays:
        """Return the views of samples `index` in `epoch`; the keys are those of `Store.batch`."""
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = epoch, self._draw(epoch)
        columns = self._drawn[1]
        rows = ops.gather_rows(list(columns.values()), index)
        return dict(zip(columns, rows, strict=True))

    def _draw(self, epoch: int) -> Arrays:
        seed, epoch, _ = random_key(self.seed, epoch)
        random = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        facts, n = self.facts, self.facts.num_samples
        columns: Arrays = {}
        if facts.crops:
            columns["crop"] = _crops(random, n, self.area, self.aspect)
            columns["flip"] = random.random(n) < self.flip
        if facts.mix == "none":
            return columns
        partner = ops.permute(n, seed=seed, epoch=epoch, stream=Stream.PARTNERS)
        lam = random.beta(self.alpha, self.alpha, n)
        mixed = {f"partner_{name}": column[partner] for name, column in columns.items()}
        columns |= {"partner": partner, "lam": lam, **mixed}
        if facts.size is not None and facts.mix == "cutmix":
            columns["box"] = _boxes(random, lam, facts.size)
        return columns


def _crops(
    random: np.random.Generator, n: int, area: tuple[float, float], aspect: tuple[float, float]
) -> NDArray[np.float32]:
    """Draw sizes that fit, ten tries each, else whole images; then places."""
    tall, wide = np.ones(n), np.ones(n)
    missing = np.arange(n)
    for _ in range(_TRIES):
        share = random.uniform(*area, len(missing))
        ratio = np.exp(random.uniform(math.log(aspect[0]), math.log(aspect[1]), len(missing)))
        height, width = np.sqrt(share / ratio), np.sqrt(share * ratio)
        fits = (height <= 1) & (width <= 1)
        tall[missing[fits]], wide[missing[fits]] = height[fits], width[fits]
        missing = missing[~fits]
    top, left = random.random(n) * (1 - tall), random.random(n) * (1 - wide)
    return np.stack([top, left, tall, wide], 1).astype(np.float32)


def _boxes(
    random: np.random.Generator, lam: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.int32]:
    """Boxes of 1 - lam of the area around a random pixel, cut off at the edges."""
    share = np.sqrt(1 - lam)
    ends = []
    for length in size:
        half = (length * share).astype(np.int64) // 2
        centre = random.integers(0, length, len(lam))
        ends.append((np.clip(centre - half, 0, length), np.clip(centre + half, 0, length)))
    (x1, x2), (y1, y2) = ends
    return np.stack([x1, y1, x2, y2], 1).astype(np.int32)
