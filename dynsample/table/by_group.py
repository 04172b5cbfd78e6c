"""Reductions within groups of rows, over all ranks that share a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels import Array, GroupCandidates
from dynsample.kernels.numbers import integers, reals_on_host

if TYPE_CHECKING:
    from dynsample.plan.selection import EpochRandom
    from dynsample.table.arithmetic import Floats, Mask
    from dynsample.table.reductions import Reductions

Counts = NDArray[np.int64]

MAX_GROUPS = 1 << 20  # a selection keeps a KiB for each
_ROUNDS = 32 // _core.GROUP_DIGIT_BITS


def as_groups(groups: object, num_samples: int) -> NDArray[np.int32]:
    """Return the group of every sample, int32, when these are as many numbers as there must be.

    Raises
    ------
    TypeError
        For anything but a one-dimensional sequence of integers.
    ValueError
        For another length, and for a number outside [0, 2**20).
    """
    labels = integers(groups, "groups")
    if len(labels) != num_samples:
        raise ValueError(f"groups must have {num_samples} entries, got {len(labels)}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < MAX_GROUPS:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"groups must be in [0, {MAX_GROUPS}), got {wrong}")
    return labels.astype(np.int32)


class ByGroup:
    """Reductions over the rows of each group; `ScoreTable.by_group`.

    As those of `Reductions` they run over the rows that are known, and whose value is finite, are
    exact, and give every rank the same however many share the rows; where these are shared, every
    method but `spread` is collective. A group without such rows is no error.

    Parameters
    ----------
    table : Reductions
    labels : int32[num_samples]
        Group of every row, on whichever rank that is.

    Examples
    --------
    >>> table = ds.ScoreTable(4, {"loss": ds.Last()}, groups=[0, 0, 1, 1])
    >>> table.observe(np.arange(4), loss=np.array([1, 3, 5, 5], np.float32))
    >>> table.by_group.mean(table["loss"]), table.by_group.hide_lowest(table["loss"], [1, 0])
    (array([2., 5.]), array([ True, False, False, False]))
    """

    def __init__(self, table: Reductions, labels: NDArray[np.int32]) -> None:
        self.num_groups = int(labels.max()) + 1 if len(labels) else 0
        first, last = table.bounds
        self._table = table
        self._rows = table.arrays.grouped(labels[first:last], self.num_groups)

    def count(self, mask: Mask | None = None) -> Counts:
        """Count the rows of each group, or those that are set in a mask: int64[G]."""
        given = None if mask is None else self._table.checked_mask(mask, "mask")
        return self._sum(self._rows.count(given), "counts by group")

    def _sum(self, here: Counts, what: str) -> Counts:
        total: Counts = self._table.group.sum(here, what)
        return total

    def mean(self, values: Floats) -> NDArray[np.float64]:
        """Return the exact mean of each group, float64[G]; nan where there is nothing to average.

        The sum is rounded once, and divided by the count.
        """
        values, where = self._table.among(values)
        parts = self._sum(self._rows.sum_parts(values, where), "means by group")
        totals, counts = _core.rounded_sums(parts)
        with np.errstate(invalid="ignore"):
            means: NDArray[np.float64] = totals / counts
        return means

    def hide_lowest(self, values: Floats, ks: object, eligible: Mask | None = None) -> Mask:
        """Mark the `ks[g]` lowest values of each group among the eligible, known, finite rows.

        All of them, in a group that has fewer. Ties go to the lower rows.

        Parameters
        ----------
        values : float32[N]
        ks : int[G]
        eligible : bool[N], optional
        """
        values, where = self._table.among(values, eligible, "eligible")
        return self._lowest(self._rows.candidates(values, where), self._numbers(ks))[0]

    def draw(self, probabilities: Floats, ks: object, random: EpochRandom) -> Mask:
        """Draw `ks[g]` rows of each group without replacement, by the race of `Reductions.draw`.

        Parameters
        ----------
        probabilities : float32[N]
            Up to a common factor within each group. NaN, infinite and unknown ones count as the
            largest finite one of all groups; as 1, when none is finite.
        ks : int[G]
        random : EpochRandom

        Raises
        ------
        ValueError
            When a group has fewer rows of a positive probability than are to be drawn from it.
        """
        given, substitute = self._table.race_of(probabilities)
        key = self._table.bounds[0], substitute, random.seed, random.epoch
        numbers = self._numbers(ks)
        mask, positive = self._lowest(self._rows.race(given, *key), numbers)
        short = np.flatnonzero(numbers > positive)
        if len(short):
            raise ValueError(
                "ks must be at most the numbers of positive probabilities: group "
                f"{short[0]} has {positive[short[0]]}, got {numbers[short[0]]}"
            )
        return mask

    def spread(self, numbers: object) -> Floats:
        """Return the number of each row's group, float32[N], of numbers float[G]."""
        given = reals_on_host(numbers, "numbers")
        self._check_length(given, "numbers")
        spread: Array = self._rows.spread(given)
        return spread

    def _check_length(self, array: NDArray[np.generic], name: str) -> None:
        if len(array) != self.num_groups:
            raise ValueError(
                f"{name} must have {self.num_groups} entries, one for each group, got {len(array)}"
            )

    def _numbers(self, ks: object) -> Counts:
        numbers = integers(ks, "ks")
        self._check_length(numbers, "ks")
        if len(numbers) and numbers.min() < 0:
            raise ValueError(f"ks must not be negative, got {numbers.min()}")
        most: Counts = np.minimum(numbers, self._table.num_samples).astype(np.int64)
        return most

    def _lowest(self, candidates: GroupCandidates[Array], ks: Counts) -> tuple[Mask, Counts]:
        """Find the k-th key of each group, digit by digit; ties go to the lower rows.

        Returns
        -------
        mask, eligible : bool[N] and int64[G]
            The lowest rows, and how many take part in each group.
        """
        what, group = "a selection by group", self._table.group
        keys, left, eligible = np.zeros(self.num_groups, np.uint32), ks, ks
        for place in range(_ROUNDS):
            here = candidates.digits(place, keys)
            digit, below, total = _core.kth_digits(group.sum(here, what), left)
            if place == 0:
                eligible, left = total, np.minimum(left, total)
            left = left - below
            keys = keys << np.uint32(_core.GROUP_DIGIT_BITS) | digit
        equal = here[np.arange(self.num_groups), digit].astype(np.int64)
        ties = np.clip(left - group.exclusive_scan(equal, what), 0, equal)
        whole = ties == equal  # then no order of the rows decides
        mask = candidates.mark(keys + whole, keys, np.where(whole, 0, ties).astype(np.uint32))
        return mask, eligible
