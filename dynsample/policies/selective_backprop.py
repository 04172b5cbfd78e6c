"""Selective Backprop over the whole data set, once an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynsample.kernels.checks import MAX_SAMPLES, integer, real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class SelectiveBackprop(Policy):
    """Keep each sample with probability (share of losses up to its own) ** beta.

    Parameters
    ----------
    beta : float above 0
        0.43 keeps about 70 %, 1 a half, 2 a third; in general 1 / (1 + beta).
    refresh_every : int
        Hidden samples are due for a forward pass in epochs divisible by this.

    Notes
    -----
    Losses are binned into 1000 equal widths between their lowest and highest. Samples never seen,
    and those with NaN or an infinite loss, are kept. `dynsample.batch` has the forms that decide
    batch by batch.

    References
    ----------
    Jiang et al., "Accelerating Deep Learning by Focusing on the Biggest Losers", 2019, equation 1,
    in the per-epoch form of the experiments of KAKURENBO, NeurIPS 2023.

    Examples
    --------
    >>> policy = ds.SelectiveBackprop(beta=2.0)
    >>> table = ds.ScoreTable(1000, policy.columns)
    >>> table.observe(np.arange(1000), loss=np.arange(1000, dtype=np.float32))
    >>> hidden = policy.select(table, 1, ds.EpochRandom(0, 1)).hidden
    >>> int(hidden[:500].sum()) > int(hidden[500:].sum())
    True
    """

    beta: float = 0.43
    refresh_every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.beta, "beta", "(0, inf)")
        integer(self.refresh_every, "refresh_every", 1, MAX_SAMPLES)

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last loss of every sample."""
        return {"loss": Last()}

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Keep each sample by the toss of a coin that its loss biases."""
        kept = table.cdf_bernoulli(table["loss"], self.beta, random)
        return Selection(hidden=~kept, refresh=epoch % self.refresh_every == 0)
