"""SeTa: a window that slides from easy to hard losses of a random subset."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import TYPE_CHECKING

from dynsample.kernels.checks import MAX_SAMPLES, integer, real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.annealing import check_delta, is_annealing
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last

if TYPE_CHECKING:
    from dynsample.kernels import Array
    from dynsample.table.table import ScoreTable


ROUNDS = 25  # of k-means


@dataclass(frozen=True)
class SeTa(Policy):
    """Keep those samples of a random subset whose loss is in a window, which moves every epoch.

    Parameters
    ----------
    prune_ratio : float in [0, 0.9]
        Share of the samples that the random subset of an epoch leaves out: it has int((1 -
        prune_ratio) * N) of them.
    num_group : int
        Strata of the losses of the subset: those of a k-means, see Notes.
    window_scale : float in (0, 1]
        The window has round(num_group * window_scale) strata, at least 1.
    delta : float in [0, 1]
        Fraction of the epochs in which there is a window: those below int(delta * epochs). The
        others hold the random subset.
    epochs : int, optional
        Epochs of the whole run; needed when delta is below 1.

    Notes
    -----
    The edges of the strata begin where their distances from the lowest loss are the geometric means
    of those of equal parts and of those of equal widths, which is near to where they end for losses
    with a long tail. Then the centre of a stratum is the exact mean of its losses, and the stratum
    has what is nearest to that; so on, until no centre moves, at most `ROUNDS` times. A stratum
    without losses keeps its centre, at first its lower edge. So strata depend on nothing but the
    losses.

    Epoch 0 holds the whole subset. In epoch e the window begins at stratum e modulo the number of
    its places, num_group - its size + 1, counted from the lowest losses. Where all losses are
    equal, it holds a random part of them, int(their number * its size / num_group). Samples of the
    subset that were never seen, or whose loss is NaN or infinite, are kept besides; and the whole
    subset is, where the window holds no sample, or there are fewer losses than strata.

    References
    ----------
    Zhou et al., "Scale Efficient Training for Large Datasets", CVPR 2025. There the k-means begins
    at random.

    Examples
    --------
    >>> policy = ds.SeTa(epochs=10, num_group=4)
    >>> [policy.window(epoch) for epoch in range(1, 5)]
    [(1, 3), (2, 4), (0, 2), (1, 3)]
    """

    prune_ratio: float = 0.0
    num_group: int = 10
    window_scale: float = 0.5
    delta: float = 0.875
    epochs: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.prune_ratio, "prune_ratio", "[0, 0.9]")
        integer(self.num_group, "num_group", 1, MAX_SAMPLES)
        real(self.window_scale, "window_scale", "(0, 1]")
        if not round(self.num_group * self.window_scale):
            raise ValueError(
                f"window_scale must give a window of at least one of num_group = {self.num_group} "
                f"strata, got {self.window_scale}: round({self.num_group} * {self.window_scale}) "
                "is 0"
            )
        check_delta(self.delta, self.epochs)

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last loss of every sample."""
        return {"loss": Last()}

    @property
    def keep_ratio(self) -> float:
        """Share of the samples in the random subset: a tenth at least, as published."""
        return max(0.1, 1.0 - self.prune_ratio)

    def window(self, epoch: int) -> tuple[int, int]:
        """Return the first stratum of an epoch's window, and the one behind its last."""
        if epoch == 0:
            return 0, self.num_group
        size = round(self.num_group * self.window_scale)
        first = epoch % (self.num_group - size + 1)
        return first, first + size

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select a random subset, and of it what is in the window."""
        subset = table.sample(int(self.keep_ratio * table.num_samples), random)
        if is_annealing(epoch, self.delta, self.epochs):
            return Selection(hidden=~subset)
        comparable = subset & table.below(table["loss"], math.inf)
        inside = self._inside(table, comparable, self.window(epoch), random)
        if not table.count(inside):
            return Selection(hidden=~subset)
        return Selection(hidden=~subset | (comparable & ~inside))

    def _inside(
        self, table: ScoreTable, rows: Array, window: tuple[int, int], random: EpochRandom
    ) -> Array:
        """Mark those of some rows that are in a window over their own losses."""
        (first, end), count = window, table.count(rows)
        if end - first == self.num_group or count < self.num_group:
            return rows
        lowest, highest = table.min_max(table["loss"], where=rows)
        if lowest == highest:
            return table.sample(count * (end - first) // self.num_group, random, where=rows)
        width = (highest - lowest) / self.num_group
        edges = []
        for j in range(1, self.num_group):
            lower = table.hide_lowest(table["loss"], count * j // self.num_group, rows)
            quantile, _ = table.min_max(table["loss"], where=rows & ~lower)
            edges.append(lowest + math.sqrt((quantile - lowest) * width * j))
        return reduce(or_, _strata(table, rows, edges, [lowest, *edges])[first:end])


def _strata(
    table: ScoreTable, rows: Array, edges: list[float], centres: list[float]
) -> list[Array]:
    """Mark the losses of each of the strata to which a k-means comes from some edges."""
    for _ in range(ROUNDS):
        strata = _cut(table, rows, edges)
        means = [table.exact_mean(table["loss"], where=each) for each in strata]
        moved = [old if math.isnan(new) else new for old, new in zip(centres, means, strict=True)]
        if moved == centres:
            break
        centres = moved
        edges = [(low + high) / 2 for low, high in pairwise(centres)]
    return _cut(table, rows, edges)


def _cut(table: ScoreTable, rows: Array, edges: list[float]) -> list[Array]:
    """Mark the losses between each two of some edges, compared in doubles; an edge is above."""
    below = [rows & table.below(table["loss"], edge) for edge in edges]
    return [until & ~before for before, until in pairwise([~rows & rows, *below, rows])]
