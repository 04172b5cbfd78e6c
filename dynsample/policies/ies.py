"""IES: hide a sample while its loss changes at a steady pace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from dynsample.kernels.checks import MAX_SAMPLES, integer, real
from dynsample.kernels.namespace import namespace_of
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Lags

if TYPE_CHECKING:
    from dynsample.kernels import Array
    from dynsample.table.table import ScoreTable

_LARGEST = 2.0**100  # losses below it have differences, and sums of these, that float32 holds


@dataclass(frozen=True)
class IES(Policy):
    """Hide the samples that are mastered: those whose loss has second differences near zero.

    Parameters
    ----------
    delta : float above 0
        A sample is mastered when the mean of its last `window` second differences,
        ``|l_t - 2 l_{t-1} + l_{t-2}|``, is below this. Published runs have 0.001, and 0.002 on 100
        classes.
    window : int in [1, 100]
        Second differences in the mean; the published code has 3. With 1 it is the last one alone.
    warmup_epochs : int
        Epochs at the start in which nothing is hidden.
    refresh_every : int
        Hidden samples are due for a forward pass, in evaluation mode, in epochs divisible by this.

    Notes
    -----
    Every epoch decides anew, so a sample comes back when its loss, as the hidden pass measures it,
    turns unsteady. The last losses of a sample are those of its last observations, however long ago
    they were made: one that is hidden in an epoch without a refresh keeps its losses, and so stays
    hidden until the next one, and its differences then span the epochs between refreshes. Without
    any hidden pass it stays hidden for good.

    A sample with fewer than ``window + 2`` losses, or with one among these that is not finite, is
    not hidden. The learning rate is left alone.

    References
    ----------
    Yuan et al., "Instance-dependent Early Stopping", ICLR 2025.

    Examples
    --------
    >>> policy = ds.IES(delta=0.01, window=1, warmup_epochs=0)
    >>> table = ds.ScoreTable(2, policy.columns)
    >>> for loss in ([0.2, 2.0], [0.2, 1.0], [0.2, 0.9]):
    ...     table.observe(np.arange(2), loss=np.array(loss, np.float32))
    >>> policy.select(table, 3, ds.EpochRandom(0, 3)).hidden
    array([ True, False])
    """

    delta: float = 1e-3
    window: int = 3
    warmup_epochs: int = 6
    refresh_every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.delta, "delta", "(0, inf)")
        integer(self.window, "window", 1, 100)
        integer(self.warmup_epochs, "warmup_epochs", 0, MAX_SAMPLES)
        integer(self.refresh_every, "refresh_every", 1, MAX_SAMPLES)

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last losses of every sample, as many as the differences need."""
        return {"losses": Lags(self.window + 2, signal="loss")}

    def unsteadiness(self, table: ScoreTable) -> Array:
        """Mean size of the last second differences, float32[N]; NaN where there are too few."""
        losses = [_usable(table, table.lag("losses", back)) for back in range(self.window + 2)]
        changes = [new - old for new, old in pairwise(losses)]
        absolute = namespace_of(losses[0]).abs
        total = absolute(changes[0] - changes[1])
        for new, old in pairwise(changes[1:]):
            total = total + absolute(new - old)
        return table.divide(total, self.window)

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select what is not mastered."""
        if epoch < self.warmup_epochs:
            return Selection()
        hidden = table.below(self.unsteadiness(table), self.delta)
        return Selection(hidden=hidden, refresh=epoch % self.refresh_every == 0)


def _usable(table: ScoreTable, loss: Array) -> Array:
    """Losses that may be subtracted, NaN in place of others."""
    small = namespace_of(loss).abs(loss) < _LARGEST
    return loss + table.choose(small, 0.0, float("nan"))
