"""RCAP: more of the classes that are not learned, and in a class of what is not learned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from dynsample.kernels.checks import real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last

if TYPE_CHECKING:
    from dynsample.kernels import Array
    from dynsample.table.table import ScoreTable

_LEAST = 2.0**-126  # of a probability: a sample of the smallest one can still be drawn


@dataclass(frozen=True)
class ClassBudget(Policy):
    """Draw a budget of every class, by its loss and its size; in the class, by loss (RCAP).

    Of N - int(fraction * N) samples each class gets a share in proportion to sqrt(L_c * n_c / N),
    with L_c the mean loss and n_c the size of class c, and at most n_c: what a full class cannot
    take goes to the others. Within a class samples are drawn without replacement, with
    probabilities in proportion to exp(loss / beta). The classes are the `groups` of the sampler.

    Parameters
    ----------
    fraction : float in [0, 1)
        Fraction of the samples to hide.
    beta : float above 0
        Temperature of the draws: a small one takes the highest losses of a class.
    clipping_threshold : float above 0, optional
        Losses count as at most this, and as at least 0; None: log of the number of classes, the
        loss of a guess.

    Notes
    -----
    Before any loss is known nothing is hidden. A class without a known loss counts with the
    `clipping_threshold`. Never-seen samples, and those with NaN or an infinite loss, are drawn with
    the largest probability of all. Budgets are whole numbers by largest remainders, worked out in
    fractions: they add up to what is to be kept. Probabilities of inclusion have no closed form, so
    there are no weights: the epoch is biased towards high losses, on purpose.

    References
    ----------
    Hassan et al., "RCAP: Robust, Class-Aware, Probabilistic Dynamic Dataset Pruning", UAI 2025;
    arXiv 2606.11761, theorem 3.1.

    Examples
    --------
    >>> policy = ds.ClassBudget(fraction=0.5)
    >>> table = ds.ScoreTable(8, policy.columns, groups=[0, 0, 0, 0, 1, 1, 1, 1])
    >>> table.observe(np.arange(8), loss=np.array([0.1] * 4 + [0.9] * 4, np.float32))
    >>> policy.budgets(table, policy.losses(table))
    [1, 3]
    """

    fraction: float = 0.3
    beta: float = 1.0
    clipping_threshold: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.fraction, "fraction", "[0, 1)")
        real(self.beta, "beta", "(0, inf)")
        if self.clipping_threshold is not None:
            real(self.clipping_threshold, "clipping_threshold", "(0, inf)")

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last loss of every sample."""
        return {"loss": Last()}

    def threshold(self, table: ScoreTable) -> float:
        """Return what losses count as at most."""
        if self.clipping_threshold is not None:
            return self.clipping_threshold
        return math.log(max(table.by_group.num_groups, 1))

    def losses(self, table: ScoreTable) -> Array:
        """Return the clipped losses, float32[N]; NaN and infinite ones as they are."""
        loss, most = table["loss"], self.threshold(table)
        loss = table.choose((loss > most) & (loss < math.inf), most, loss)
        return table.choose((loss < 0) & (loss > -math.inf), 0.0, loss)

    def budgets(self, table: ScoreTable, loss: Array) -> list[int]:
        """Return how many samples of each class an epoch holds."""
        sizes, means = table.by_group.count().tolist(), table.by_group.mean(loss).tolist()
        total = table.num_samples
        unknown = self.threshold(table)
        known = [unknown if math.isnan(mean) else mean for mean in means]
        weights = [math.sqrt(m * size / total) for m, size in zip(known, sizes, strict=True)]
        return shares(total - int(self.fraction * total), weights, sizes)

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Draw the budget of every class."""
        loss = self.losses(table)
        if not int(self.fraction * table.num_samples) or math.isnan(table.min_max(loss)[1]):
            return Selection()
        scaled = table.exp(table.divide(loss - self.threshold(table), self.beta))
        drawn = table.by_group.draw(scaled + _LEAST, self.budgets(table, loss), random)
        return Selection(hidden=~drawn)


def shares(total: int, weights: Sequence[float], sizes: Sequence[int]) -> list[int]:
    """Divide `total` in proportion to weights into whole shares, none above its size.

    What is full gives the rest to the others; where these have no weight, their sizes count.
    Remainders go to the largest fractions, of equal ones to the first.

    Parameters
    ----------
    total : int, at most the sum of sizes
    weights : sequence of float, not negative
    sizes : sequence of int
    """
    taken, left = [0] * len(sizes), total
    others = [j for j, size in enumerate(sizes) if size]
    while others:
        some = any(weights[j] for j in others)
        parts = {j: Fraction(weights[j] if some else sizes[j]) for j in others}
        unit = left / sum(parts.values())
        full = [j for j in others if parts[j] * unit >= sizes[j]]
        if not full:
            for j in others:
                taken[j] = math.floor(parts[j] * unit)
            rest = left - sum(taken[j] for j in others)
            for j in sorted(others, key=lambda j: (taken[j] - parts[j] * unit, j))[:rest]:
                taken[j] += 1
            break
        for j in full:
            taken[j] = sizes[j]
            left -= sizes[j]
        others = [j for j in others if not taken[j]]
    return taken
