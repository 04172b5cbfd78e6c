"""Reductions over all samples of a table: what policies decide by."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample._core import Stream
from dynsample.groups import Group
from dynsample.kernels import Array, Candidates, PassRateCurve, Rates
from dynsample.kernels.arguments import Method, is_multinomial
from dynsample.kernels.convert import beside
from dynsample.kernels.numbers import rounded_up
from dynsample.kernels.whole import check_enough, stand_in
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.table.arithmetic import Arithmetic, Floats, Mask
from dynsample.table.ranking import ranks

Known: TypeAlias = Mask | Literal[True] | None  # rows whose value is meant; True: all
_POINTS = 1 << 18  # of a multinomial draw that are sent at a time


@dataclass(frozen=True)
class Draw:
    """The outcome of a draw: `counts` with replacement, `mask` without.

    Attributes
    ----------
    counts : uint32[N] or None
        How often each row was drawn.
    mask : bool[N] or None
        Which rows were drawn.
    inverse : callable
        Works `inverse_probabilities` out.
    """

    counts: Array | None
    mask: Mask | None
    inverse: Callable[[], Floats]

    @property
    def inverse_probabilities(self) -> Floats:
        """1 / (N p_i) of every row, float32[N], from the integers that decided; 0 where p is 0."""
        return self.inverse()

    def selection(
        self, weights: Floats | None = None, stats: Mapping[str, float] = MappingProxyType({})
    ) -> Selection:
        """Select what was drawn."""
        hidden = None if self.mask is None else ~self.mask
        return Selection(hidden=hidden, counts=self.counts, weights=weights, stats=stats)


class Informative(NamedTuple):
    """Probabilities of draws by pass rates, and how many rows of all are of which kind.

    Attributes
    ----------
    probabilities : float32[N]
    outside : int
        Rates that are finite and not in [0, 1]; they count as the best one.
    retired : int
        Rates from `retire` on.
    positive : int
        Probabilities above 0.
    """

    probabilities: Floats
    outside: int
    retired: int
    positive: int


class Reductions(Arithmetic):
    """Selections, sums and draws over the rows of a table, by all ranks that share them.

    They run over the rows that are known, which are those observed or imported, and whose value is
    finite. `values` and masks are of the rows that are here, float32[N] and bool[N], N =
    `num_rows`; results are the same however many ranks share the rows. Each works its part out,
    and parts are put together exactly: integers are added, and rows compare by (key, row). Where
    the rows are shared, every method is collective.

    Attributes
    ----------
    group : Group
        The ranks that share the rows.
    bounds : tuple of int
        First row that is here, and the one after the last.
    """

    num_samples: int
    group: Group
    bounds: tuple[int, int]
    _all_known = False  # once found so, until a load

    @property
    @abstractmethod
    def known(self) -> Mask:
        """Rows that were observed or imported, bool[N]: what all this runs over."""

    @property
    def sharded(self) -> bool:
        """Whether other ranks have some of the rows."""
        return self.group.size > 1

    @property
    def num_rows(self) -> int:
        """Rows that are here."""
        first, last = self.bounds
        return last - first

    def _sum(self, *numbers: int) -> list[int]:
        if not self.sharded:
            return list(numbers)
        sums: list[int] = self.group.sum(np.array(numbers, np.int64), "a reduction").tolist()
        return sums

    def _known(self, where: Mask | None, name: str = "where", known: Known = None) -> Mask | None:
        """Return the rows that a caller meant and whose value is known; None: all rows."""
        if where is not None:
            where = self.checked_mask(where, name)
        if known is True:
            return where
        if known is not None:
            known = self.checked_mask(known, "known")
            return known if where is None else known & where
        if self._all_known:
            return where
        known = self.known
        self._all_known = bool(known.all())
        if self._all_known:
            return where
        return known if where is None else known & where

    def checked_mask(self, mask: Mask, name: str) -> Mask:
        """Return a mask of the rows that are here, bool[N], when it is one."""
        return beside(mask, name, np.bool_, self.seen, "the table")

    def among(
        self,
        values: Floats,
        where: Mask | None = None,
        name: str = "where",
        known: Known = None,
    ) -> tuple[Floats, Mask | None]:
        """Return checked values, and which of the rows are known and in `where`; None: all."""
        return self._values(values), self._known(where, name, known)

    def race_of(self, probabilities: Floats) -> tuple[Floats, float]:
        """Return the probabilities of a draw, and what stands for those that are not finite."""
        given = self._given(probabilities, None)
        return given, self._survey(given)[0]

    def count(self, mask: Mask) -> int:
        """Count the rows that are set."""
        return self.counts(mask)[0]

    def counts(self, *masks: Mask) -> list[int]:
        """Count the rows that are set in each of some masks, in one go."""
        return self._sum(*self.arrays.counts(*masks))

    def hide_lowest(
        self,
        values: Floats,
        k: int,
        eligible: Mask | None = None,
        *,
        known: Known = None,
    ) -> Mask:
        """Mark the k lowest `values` among the eligible, known, finite rows; all, when fewer.

        Parameters
        ----------
        values : float32[N]
        k : int
        eligible : bool[N], optional
            Rows that may be marked; by default all.
        known : bool[N] or True, optional
            Rows whose value is meant, True for all; by default those observed or imported.
        """
        values, where = self.among(values, eligible, "eligible", known)
        k = min(k, self.num_samples)
        if not self.sharded:
            return self.arrays.hide_lowest(values, k, where, finite_only=True)
        return self._lowest(self.arrays.candidates(values, where), k)

    def _lowest(self, candidates: Candidates[Array], k: int) -> Mask:
        """Find the k-th key in two rounds of histograms; ties go to the lower rows."""
        k = min(k, self._sum(candidates.count())[0])
        if k == 0:
            return self.arrays.mask(self.num_rows)
        upper = self.group.sum(candidates.histogram(), "a selection")
        high, below = _digit(upper, k)
        low, _ = _digit(self.group.sum(candidates.histogram(high), "a selection"), k - below)
        counts = np.array(candidates.tally(high << 16 | low), np.int64)
        lower = int(self.group.sum(counts, "a selection")[0])
        before = int(self.group.exclusive_scan(counts, "a selection")[1])
        return candidates.mark(min(max(k - lower - before, 0), int(counts[1])))

    def exact_mean(self, values: Floats, where: Mask | None = None) -> float:
        """Return the exact mean, rounded once to double; nan when there is nothing to average."""
        values, where = self.among(values, where)
        parts = self.arrays.sum_parts(values, where, finite_only=True)
        total, count = _core.rounded_sum(self.group.sum(parts, "a mean"))
        return total / count if count else float("nan")

    def min_max(self, values: Floats, where: Mask | None = None) -> tuple[float, float]:
        """Return the lowest and the highest value; (nan, nan) when there are none."""
        values, where = self.among(values, where)
        here = self.arrays.min_max(values, where, finite_only=True)
        pairs = np.stack(self.group.all_gather(np.array(here), "extremes"))
        pairs = pairs[~np.isnan(pairs[:, 0])]
        if not len(pairs):
            return float("nan"), float("nan")
        return float(pairs[:, 0].min()), float(pairs[:, 1].max())

    def ranks(self, values: Floats) -> Array:
        """Return the position of each known, finite row in ascending order: int64[N], from 0.

        Ties go by row, and the other rows have -1.
        """
        values, where = self.among(values)
        there = self.arrays
        here = there.numpy(values), None if where is None else there.numpy(where)
        return there.take(ranks(*here, self.group))

    def below(self, values: Floats, threshold: float) -> Mask:
        """Mark the known, finite rows whose value is less than a double, without rounding that."""
        bound = rounded_up(threshold)
        return self.arrays.below(self._values(values), bound, self._known(None))

    # Randomness

    def sample(self, k: int, random: EpochRandom, where: Mask | None = None) -> Mask:
        """Mark exactly k of the rows, or of those in `where`, each set of k equally likely."""
        if not self.sharded:
            return self.arrays.sample(self.num_rows, where, k, random.seed, random.epoch)
        return self._race(self.arrays.chances(self.num_rows, where), k, random)

    def walk(self, start: int, k: int, random: EpochRandom) -> Mask:
        """Mark the k rows at positions start, ... of a random permutation, counted modulo N."""
        total = self.num_samples
        key = random.seed, random.epoch, Stream.WALK
        if self.sharded:
            if not self.num_rows:
                return self.arrays.mask(0)
            positions = self.arrays.positions(total, self.bounds, *key)
            return (positions - start) % total < k
        first = start % total if total else 0
        stop = min(first + k, total)
        ranges = [(first, stop), (0, k - (stop - first) if total else 0)]
        return self.arrays.walk(total, ranges, *key)

    def cdf_bernoulli(self, values: Floats, beta: float, random: EpochRandom) -> Mask:
        """Mark what is kept when each row is, with probability (share of values up to it) ** beta.

        The share is of the known, finite rows, by a histogram of 1000 bins; other rows are kept.
        """
        where = self._known(None)
        low, high = self.min_max(values)
        if not low < high:
            return self.arrays.mask(self.num_rows, True)
        here = self.arrays.cdf_counts(values, where, low, high)
        counts = self.group.sum(here, "a histogram")
        return self.arrays.cdf_keep(
            values, where, low, high, counts, beta, random.seed, random.epoch, self.bounds[0]
        )

    def draw(
        self,
        probabilities: Floats,
        k: int,
        random: EpochRandom,
        *,
        replacement: bool,
        method: Method = "systematic",
        known: Known = None,
    ) -> Draw:
        """Draw k rows.

        Parameters
        ----------
        probabilities : float32[N]
            Up to a common factor, not negative. NaN, infinite and unknown ones count as the largest
            finite one; as 1, when none is finite.
        k : int
        random : EpochRandom
        replacement : bool
            Whether a row can be drawn more than once.
        method : "systematic" or "multinomial"
            With replacement: counts within one of their expectation, or independent draws.
        known : bool[N] or True, optional
            Rows whose probability is meant, True for all; by default those observed or imported.

        Returns
        -------
        Draw
        """
        multinomial = is_multinomial(method)
        given = self._given(probabilities, known)
        if not replacement:
            return Draw(None, self._race(given, k, random), partial(self._inverse, given, k))
        rates = self._rates(given, k)
        total = self._sum_of_rates(rates)
        if not k:
            counts = self.arrays.no_counts(self.num_rows)
        elif multinomial:
            counts = self._multinomial(rates, total, k, random)
        else:
            before = self._rates_before(rates)
            counts = rates.systematic(before, total, k, random.seed, random.epoch)
        return Draw(counts, None, partial(rates.inverse, total, self.num_samples))

    def informative(self, rates: Floats, curve: PassRateCurve) -> Informative:
        """Return how probable a draw of each row is by its pass rate; rows that are unknown too."""
        probabilities, counts = self.arrays.informative(self._values(rates), curve)
        return Informative(probabilities, *self._sum(*counts))

    def _given(self, probabilities: Floats, known: Known) -> Floats:
        probabilities = self._values(probabilities, "probabilities")
        rows = self._known(None, known=known)
        if rows is None:
            return probabilities
        return self.arrays.where(rows, probabilities, float("nan"))

    def _survey(self, probabilities: Floats) -> tuple[float, int]:
        """Return what stands for probabilities that are not finite, and how many are positive."""
        largest, positive = self.group.agree(
            lambda: self.arrays.survey(probabilities), "the check of the probabilities"
        )
        everywhere = self.group.all_gather(np.array([largest]), "a draw")
        return stand_in(float(np.concatenate(everywhere).max())), self._sum(positive)[0]

    def _race(self, probabilities: Floats, k: int, random: EpochRandom) -> Mask:
        if not self.sharded:
            return self.arrays.draw_mask(probabilities, k, random.seed, random.epoch)
        substitute, positive = self._survey(probabilities)
        check_enough(k, positive)
        key = self.bounds[0], substitute, random.seed, random.epoch
        return self._lowest(self.arrays.race(probabilities, *key), k)

    def _rates(self, probabilities: Floats, k: int) -> Rates[Array]:
        substitute, _ = self._survey(probabilities)
        sums = self.group.sum(self.arrays.exponent_sums(probabilities, substitute), "a draw")
        return self.arrays.rates(probabilities, sums, substitute, k)

    def _sum_of_rates(self, rates: Rates[Array]) -> int:
        return int(self.group.sum(np.array([rates.total], np.uint64), "a draw")[0])

    def _rates_before(self, rates: Rates[Array]) -> int:
        return int(self.group.exclusive_scan(np.array([rates.total], np.uint64), "a draw")[0])

    def _inverse(self, probabilities: Floats, k: int) -> Floats:
        rates = self._rates(probabilities, k)
        return rates.inverse(self._sum_of_rates(rates), self.num_samples)

    def _multinomial(self, rates: Rates[Array], total: int, k: int, random: EpochRandom) -> Array:
        """Make a share of the points on every rank, and send them to the owners of their rows."""
        if not self.sharded:
            return rates.multinomial(k, random.seed, random.epoch)
        size, rank, before = self.group.size, self.group.rank, self._rates_before(rates)
        starts = np.concatenate(self.group.all_gather(np.array([before], np.uint64), "a draw"))
        counts = self.arrays.no_counts(self.num_rows)
        share = -(-k // size) + 1 & ~1  # points come in pairs
        for start in range(0, share, _POINTS):
            first = min(rank * share + start, k)
            last = min(rank * share + min(start + _POINTS, share), k)
            key = total, random.seed, random.epoch
            points = _core.multinomial_points(*key, first & ~1, last - (first & ~1))
            points = np.sort(points[first & 1 :])
            bounds = np.searchsorted(points, starts[1:])
            came = self.group.all_to_all(np.split(points, bounds), "a draw")
            counts += rates.count(before, np.concatenate(came))
        return counts


def _digit(counts: NDArray[np.uint32], k: int) -> tuple[int, int]:
    """Return the digit of the k-th key, k from 1, and how many keys have a lower one."""
    until = np.cumsum(counts, dtype=np.uint64)
    digit = int(np.searchsorted(until, np.uint64(k)))
    return digit, int(until[digit]) - int(counts[digit])
