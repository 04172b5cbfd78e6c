"""RHO-LOSS, once an epoch: keep what is learnable, worth learning and not yet learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynsample.kernels.checks import MAX_SAMPLES, integer, real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last, Static

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class ReducibleLoss(Policy):
    """Hide the samples of lowest reducible loss: the loss, less that of a reference model.

    Parameters
    ----------
    fraction : float in [0, 1)
        Fraction of the samples to hide.
    refresh_every : int
        Hidden samples are due for a forward pass in epochs divisible by this.

    Notes
    -----
    The loss of a model that was trained on held-out data is set before the first epoch, as the
    column "reference_loss": ``sampler.table.set_column("reference_loss", losses)``. Samples never
    seen, and those whose loss or reference loss is NaN or infinite, are kept.

    The paper selects within batches, by the loss at that moment: `dynsample.batch.hardest`.

    References
    ----------
    Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and Not
    Yet Learnt", ICML 2022, equation 3.

    Examples
    --------
    >>> policy = ds.ReducibleLoss(fraction=0.5)
    >>> table = ds.ScoreTable(4, policy.columns)
    >>> table.set_column("reference_loss", [0, 0, 2, 2])
    >>> table.observe(np.arange(4), loss=np.array([1, 2, 1, 2], np.float32))
    >>> policy.select(table, 1, ds.EpochRandom(0, 1)).hidden
    array([False, False,  True,  True])
    """

    fraction: float = 0.3
    refresh_every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.fraction, "fraction", "[0, 1)")
        integer(self.refresh_every, "refresh_every", 1, MAX_SAMPLES)

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last loss of every sample, and that of the reference model."""
        return {"loss": Last(), "reference_loss": Static()}

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select all but the lowest reducible losses."""
        reducible = table.subtract(table["loss"], table.imported("reference_loss"))
        hidden = table.hide_lowest(reducible, int(self.fraction * table.num_samples))
        return Selection(hidden=hidden, refresh=epoch % self.refresh_every == 0)
