"""Reductions over all samples of a table: what policies decide by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample._arrays import beside
from dynsample._core import Stream
from dynsample.arrays import Array, Arrays
from dynsample.policies.base import EpochRandom, Selection

Floats = Array  # float32
Mask = Array  # bool


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

    def selection(self, weights: Floats | None = None) -> Selection:
        """Select what was drawn."""
        hidden = None if self.mask is None else ~self.mask
        return Selection(hidden=hidden, counts=self.counts, weights=weights)


class Reductions:
    """Selections, sums and draws over the rows of a table.

    They run over the rows that are known, which are those observed or imported, and whose value is
    finite. `values` are float32[N], masks bool[N], N = `num_samples`.
    """

    num_samples: int
    seen: Mask
    known: Mask
    arrays: Arrays
    sharded = False

    @property
    def bounds(self) -> tuple[int, int]:
        """First row that is here, and the one after the last: all of them, unless sharded."""
        return 0, self.num_samples

    @property
    def num_rows(self) -> int:
        """Rows that are here."""
        first, last = self.bounds
        return last - first

    def _added(self, numbers: NDArray[Any], what: str) -> NDArray[Any]:
        """Add integers over the ranks that share the rows."""
        return numbers

    def _values(self, values: Any, name: str = "values") -> Floats:
        """Check what a caller gave for all rows; the message names the caller's argument."""
        return beside(values, name, np.float32, self.seen, "the table")

    def _known(self, where: Mask | None, name: str = "where") -> Mask | None:
        if where is not None:
            where = beside(where, name, np.bool_, self.seen, "the table")
        known = self.known
        if known.all():
            return where
        return known if where is None else known & where

    def count(self, mask: Mask) -> int:
        """Count the rows that are set."""
        return self.arrays.count(mask)

    def hide_lowest(self, values: Floats, k: int, eligible: Mask | None = None) -> Mask:
        """Mark the k lowest `values` among the eligible, known, finite rows; all, when fewer."""
        values, where = self._values(values), self._known(eligible, "eligible")
        return self.arrays.hide_lowest(values, min(k, self.num_samples), where)

    def exact_mean(self, values: Floats, where: Mask | None = None) -> float:
        """Give the exact mean, rounded once to double; nan when there is nothing to average."""
        parts = self.arrays.sum_parts(self._values(values), self._known(where))
        total, count = _core.rounded_sum(self._added(parts, "a mean"))
        return total / count if count else float("nan")

    def min_max(self, values: Floats, where: Mask | None = None) -> tuple[float, float]:
        """Give the lowest and the highest value; (nan, nan) when there are none."""
        return self.arrays.min_max(self._values(values), self._known(where))

    def below(self, values: Floats, threshold: float) -> Mask:
        """Mark the known, finite rows whose value is less than a double, without rounding that."""
        values = self._values(values)
        with np.errstate(over="ignore"):
            bound = np.float32(threshold)
        if float(bound) < threshold:
            bound = np.nextafter(bound, np.float32(np.inf))
        return self.arrays.below(values, float(bound), self._known(None))

    def choose(self, mask: Mask, inside: float, outside: float) -> Floats:
        """Give float32[N]: `inside` where the mask is set, `outside` elsewhere."""
        return self.arrays.where(mask, float(inside), float(outside))

    def floats(self, array: Array) -> Floats:
        """Convert an array with an entry per row to float32."""
        return self.arrays.floats(array)

    def divide(self, values: Floats, number: float) -> Floats:
        """Divide by one number, rounded to float32 first, the same bits on every device."""
        return self.arrays.divide(values, number)

    def power(self, values: Floats, exponent: float) -> Floats:
        """Raise to a power, the same bits on every machine."""
        return self.arrays.power(values, exponent)

    # Randomness

    def sample(self, k: int, random: EpochRandom, where: Mask | None = None) -> Mask:
        """Mark exactly k of the rows, or of those in `where`, each set of k equally likely."""
        return self.arrays.sample(self.num_rows, where, k, random.seed, random.epoch)

    def _race(self, probabilities: Floats, k: int, random: EpochRandom) -> Mask:
        return self.arrays.draw_mask(probabilities, k, random.seed, random.epoch)

    def walk(self, start: int, k: int, random: EpochRandom) -> Mask:
        """Mark the k rows at positions start, ... of a random permutation, counted modulo N."""
        total = self.num_samples
        first = start % total if total else 0
        stop = min(first + k, total)
        ranges = [(first, stop), (0, k - (stop - first) if total else 0)]
        key = {"seed": random.seed, "epoch": random.epoch, "stream": Stream.WALK}
        return self.arrays.walk(total, ranges, **key)

    def cdf_bernoulli(self, values: Floats, beta: float, random: EpochRandom) -> Mask:
        """Mark what is kept when each row is, with probability (share of values up to it) ** beta.

        The share is of the known, finite rows, by a histogram of 1000 bins; other rows are kept.
        """
        where = self._known(None)
        low, high = self.min_max(values)
        if not low < high:
            return self.arrays.mask(self.num_rows, True)
        counts = self._added(self.arrays.cdf_counts(values, where, low, high), "a histogram")
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
        method: str = "systematic",
        known: Mask | None = None,
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
        known : bool[N], optional
            Rows whose probability is meant; by default those observed or imported.

        Returns
        -------
        Draw
        """
        probabilities = self._given(probabilities, known)
        inverse = partial(self.arrays.inverse_probabilities, probabilities, k)
        if not replacement:
            return Draw(None, self._race(probabilities, k, random), inverse)
        counts = self.arrays.draw_counts(probabilities, k, random.seed, random.epoch, method)
        return Draw(counts, None, inverse)

    def _given(self, probabilities: Floats, known: Mask | None) -> Floats:
        probabilities = self._values(probabilities, "probabilities")
        known = self._known(None) if known is None else known
        if known is not None and not known.all():
            probabilities = self.arrays.where(known, probabilities, float("nan"))
        if not self.count(self.arrays.finite(probabilities)):
            return self.arrays.full(self.num_rows, 1.0)
        return probabilities
