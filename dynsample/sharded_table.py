"""A score table of which every rank owns a range of rows; its reductions run over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample._checks import choice
from dynsample._core import Stream
from dynsample.arrays import HOST, Array, Arrays
from dynsample.columns import Column
from dynsample.groups import Group
from dynsample.policies.base import EpochRandom
from dynsample.reductions import Draw, Floats, Mask
from dynsample.shards import row_bounds
from dynsample.table import ScoreTable

_POINTS = 1 << 18  # of a multinomial draw that are sent at a time


class ShardedTable(ScoreTable):
    """A range of the rows; `num_samples` counts all of them.

    Every reduction gives the same as on one table: integers are added over the ranks, and masks are
    of the rows that this rank owns. All of them are collective.

    Parameters
    ----------
    num_samples, columns, index, arrays
        As for `ScoreTable`.
    group : Group
    """

    sharded = True

    def __init__(
        self,
        num_samples: int,
        columns: Mapping[str, Column],
        group: Group,
        index: NDArray[np.int64] | None = None,
        arrays: Arrays = HOST,
    ) -> None:
        self._group = group
        first, last = row_bounds(num_samples, group.size)[group.rank : group.rank + 2]
        self._bounds = first, last
        super().__init__(num_samples, columns, index, arrays)

    @property
    def bounds(self) -> tuple[int, int]:
        """First row that this rank owns, and the one after the last."""
        return self._bounds

    def observe(self, index: Any, *, epoch: int = 0, **signals: Any) -> None:
        """Refuse: observations go to the owners of their rows, through a `Sampler`."""
        raise RuntimeError("a sharded table takes observations through a Sampler only")

    def _added(self, numbers: NDArray[Any], what: str) -> NDArray[Any]:
        return self._group.sum(numbers, what)

    def _sum(self, *numbers: int) -> list[int]:
        sums: list[int] = self._group.sum(np.array(numbers, np.int64), "a reduction").tolist()
        return sums

    def counts(self, *masks: Mask) -> list[int]:
        """Count the rows that are set in each of some masks, in one go."""
        return self._sum(*super().counts(*masks))

    def count_unseen(self) -> int:
        """Count the samples that were never observed; collective."""
        return self.num_samples - self.count(self.seen)

    def hide_lowest(self, values: Floats, k: int, eligible: Mask | None = None) -> Mask:
        """Mark the k lowest `values` among the eligible, known, finite rows; all, when fewer."""
        where = self._known(eligible, "eligible")
        candidates = self.arrays.candidates(self._values(values), where)
        return self._lowest(candidates, min(k, self.num_samples))

    def _lowest(self, candidates: Any, k: int) -> Mask:
        """Find the k-th key in two rounds of histograms; ties go to the lower rows."""
        k = min(k, self._sum(candidates.count())[0])
        if k == 0:
            return self.arrays.mask(self.num_rows)
        upper = self._group.sum(candidates.histogram(), "a selection")
        high, below = _digit(upper, k)
        low, _ = _digit(self._group.sum(candidates.histogram(high), "a selection"), k - below)
        counts = np.array(candidates.tally(high << 16 | low), np.int64)
        lower = int(self._group.sum(counts, "a selection")[0])
        before = int(self._group.exclusive_scan(counts, "a selection")[1])
        return candidates.mark(min(max(k - lower - before, 0), int(counts[1])))

    def min_max(self, values: Floats, where: Mask | None = None) -> tuple[float, float]:
        """Give the lowest and the highest value; (nan, nan) when there are none."""
        mine = np.array(super().min_max(values, where))
        pairs = np.stack(self._group.all_gather(mine, "extremes"))
        pairs = pairs[~np.isnan(pairs[:, 0])]
        if not len(pairs):
            return float("nan"), float("nan")
        return float(pairs[:, 0].min()), float(pairs[:, 1].max())

    # Randomness

    def walk(self, start: int, k: int, random: EpochRandom) -> Mask:
        """Mark the k rows at positions start, ... of a random permutation, counted modulo N."""
        if not self.num_rows:
            return self.arrays.mask(0)
        key = {"seed": random.seed, "epoch": random.epoch, "stream": Stream.WALK}
        positions = self.arrays.positions(self.num_samples, self.bounds, **key)
        return (positions - start) % self.num_samples < k

    def draw(
        self,
        probabilities: Floats,
        k: int,
        random: EpochRandom,
        *,
        replacement: bool,
        method: str = "systematic",
        known: Mask | None = None,
    ) -> Draw:
        """Draw k rows; see `Reductions.draw`."""
        choice(method, "method", ("systematic", "multinomial"))
        given = self._given(probabilities, known)
        if not replacement:
            return Draw(None, self._race(given, k, random), partial(self._inverse, given, k))
        rates = self._rates(given, k)
        total = self._sum_of_rates(rates)
        before = int(self._group.exclusive_scan(np.array([rates.total], np.uint64), "a draw")[0])
        key = random.seed, random.epoch
        if not k:
            counts = self.arrays.no_counts(self.num_rows)
        elif method == "systematic":
            counts = rates.systematic(before, total, k, *key)
        else:
            counts = self._multinomial(rates, before, total, k, *key)
        return Draw(counts, None, partial(rates.inverse, total, self.num_samples))

    def _inverse(self, probabilities: Floats, k: int) -> Floats:
        rates = self._rates(probabilities, k)
        return rates.inverse(self._sum_of_rates(rates), self.num_samples)

    def _survey(self, probabilities: Floats) -> tuple[float, int]:
        """Give what stands for probabilities that are not finite, and how many are positive."""
        substitute, positive = self._group.agree(
            lambda: self.arrays.survey(probabilities), "the check of the probabilities"
        )
        finite = (probabilities < np.inf) & (probabilities > 0)
        largest = np.array([substitute if finite.any() else 0.0])
        substitute = float(np.concatenate(self._group.all_gather(largest, "a draw")).max())
        return substitute or 1.0, self._sum(positive)[0]

    def _rates(self, probabilities: Floats, k: int) -> Any:
        substitute, _ = self._survey(probabilities)
        sums = self._group.sum(self.arrays.exponent_sums(probabilities, substitute), "a draw")
        return self.arrays.rates(probabilities, sums, substitute, k)

    def _sum_of_rates(self, rates: Any) -> int:
        return int(self._group.sum(np.array([rates.total], np.uint64), "a draw")[0])

    def sample(self, k: int, random: EpochRandom, where: Mask | None = None) -> Mask:
        """Mark exactly k of the rows, or of those in `where`, each set of k equally likely."""
        return self._race(self.arrays.chances(self.num_rows, where), k, random)

    def _race(self, probabilities: Floats, k: int, random: EpochRandom) -> Mask:
        substitute, positive = self._survey(probabilities)
        if k > positive:
            raise ValueError(
                f"k must be at most the number of positive probabilities, {positive}, got {k}"
            )
        key = self.bounds[0], substitute, random.seed, random.epoch
        return self._lowest(self.arrays.race(probabilities, *key), k)

    def _multinomial(
        self, rates: Any, before: int, total: int, k: int, seed: int, epoch: int
    ) -> Array:
        """Make a share of the points on every rank, and send them to the owners of their rows."""
        size, rank = self._group.size, self._group.rank
        starts = np.concatenate(self._group.all_gather(np.array([before], np.uint64), "a draw"))
        counts = self.arrays.no_counts(self.num_rows)
        share = -(-k // size) + 1 & ~1  # points come in pairs
        for start in range(0, share, _POINTS):
            first = min(rank * share + start, k)
            last = min(rank * share + min(start + _POINTS, share), k)
            points = _core.multinomial_points(total, seed, epoch, first & ~1, last - (first & ~1))
            points = np.sort(points[first & 1 :])
            bounds = np.searchsorted(points, starts[1:])
            came = self._group.all_to_all(np.split(points, bounds), "a draw")
            counts += self.arrays.count_points(rates, before, np.concatenate(came))
        return counts


def _digit(counts: NDArray[np.uint32], k: int) -> tuple[int, int]:
    """Give the digit of the k-th key, k from 1, and how many keys have a lower one."""
    until = np.cumsum(counts, dtype=np.uint64)
    digit = int(np.searchsorted(until, np.uint64(k)))
    return digit, int(until[digit]) - int(counts[digit])
