"""Reductions over all samples of a table: what policies decide by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dynsample import ops
from dynsample.policies.base import EpochRandom, Selection

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

WALK_STREAM = 16  # kWalk in csrc/core/random.h


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

    counts: NDArray[np.uint32] | None
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

    They run over the rows that were seen and whose value is finite. `values` are float32[N], masks
    bool[N], N = `num_samples`.
    """

    num_samples: int
    seen: Mask
    sharded = False

    def _seen(self, where: Mask | None) -> Mask | None:
        if self.seen.all():
            return where
        return self.seen if where is None else self.seen & where

    def count(self, mask: Mask) -> int:
        """Count the rows that are set."""
        return int(np.count_nonzero(mask))

    def hide_lowest(self, values: Floats, k: int, eligible: Mask | None = None) -> Mask:
        """Mark the k lowest `values` among the eligible, seen, finite rows; all, when fewer."""
        most = min(k, self.num_samples)
        hidden: Mask = ops.hide_lowest(values, most, self._seen(eligible), finite_only=True)
        return hidden

    def exact_mean(self, values: Floats, where: Mask | None = None) -> float:
        """Give the exact mean, rounded once to double; nan when there is nothing to average."""
        mean: float = ops.exact_mean(values, self._seen(where), finite_only=True)
        return mean

    def min_max(self, values: Floats, where: Mask | None = None) -> tuple[float, float]:
        """Give the lowest and the highest value; (nan, nan) when there are none."""
        return ops.min_max(values, self._seen(where), finite_only=True)

    def below(self, values: Floats, threshold: float) -> Mask:
        """Mark the seen, finite rows whose value is less than a double, without rounding that."""
        with np.errstate(over="ignore"):
            bound = np.float32(threshold)
        if float(bound) < threshold:
            bound = np.nextafter(bound, np.float32(np.inf))
        below: Mask = (values < bound) & (values > -np.inf) & self.seen
        return below

    def choose(self, mask: Mask, inside: float, outside: float) -> Floats:
        """Give float32[N]: `inside` where the mask is set, `outside` elsewhere."""
        chosen: Floats = np.where(mask, np.float32(inside), np.float32(outside))
        return chosen

    def power(self, values: Floats, exponent: float) -> Floats:
        """Raise to a power, the same bits on every machine."""
        result: Floats = ops.power(values, exponent)
        return result

    # Randomness

    def sample(self, k: int, random: EpochRandom, where: Mask | None = None) -> Mask:
        """Mark exactly k of the rows, or of those in `where`, each set of k equally likely."""
        chance = np.ones(self.num_samples, np.float32) if where is None else where.astype("f4")
        mask: Mask = ops.draw_mask(chance, k, seed=random.seed, epoch=random.epoch)
        return mask

    def walk(self, start: int, k: int, random: EpochRandom) -> Mask:
        """Mark the k rows at positions start, ... of a random permutation, counted modulo N."""
        mask: Mask = np.zeros(self.num_samples, np.bool_)
        if not self.num_samples:
            return mask
        first = start % self.num_samples
        stop = min(first + k, self.num_samples)
        for begin, end in ((first, stop), (0, k - (stop - first))):
            rows = ops.permute(
                self.num_samples,
                seed=random.seed,
                epoch=random.epoch,
                start=begin,
                stop=end,
                stream=WALK_STREAM,
            )
            mask[rows] = True
        return mask

    def cdf_bernoulli(self, values: Floats, beta: float, random: EpochRandom) -> Mask:
        """Mark what is kept when each row is, with probability (share of values up to it) ** beta.

        The share is of the seen, finite rows, by a histogram of 1000 bins; other rows are kept.
        """
        kept: Mask = ops.bernoulli_cdf(
            values, beta, seed=random.seed, epoch=random.epoch, where=self._seen(None)
        )
        return kept

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
            Rows whose probability is meant; by default those seen.

        Returns
        -------
        Draw
        """
        probabilities = self._given(probabilities, known)
        if not np.isfinite(probabilities).any():
            probabilities = np.ones(self.num_samples, np.float32)
        key = {"seed": random.seed, "epoch": random.epoch}
        inverse = partial(ops.inverse_probabilities, probabilities, k)
        if replacement:
            counts = ops.draw_counts(probabilities, k, method=method, **key)
            return Draw(counts, None, inverse)
        return Draw(None, ops.draw_mask(probabilities, k, **key), inverse)

    def _given(self, probabilities: Floats, known: Mask | None) -> Floats:
        known = self._seen(None) if known is None else known
        if known is None or known.all():
            return probabilities
        unknown: Floats = np.where(known, probabilities, np.float32(np.nan))
        return unknown
