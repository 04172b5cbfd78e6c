"""OrderDP: of a random subset, the highest losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynsample.kernels.checks import real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class OrderDP(Policy):
    """Keep the highest losses of a random subset, which is another one in every epoch.

    Parameters
    ----------
    random_len_ratio : float in (0, 1]
        Share of the samples in the random subset: S = int(random_len_ratio * N) of them.
    top_q_ratio : float in (0, 1]
        Share of the subset that is kept: the int(top_q_ratio * S) samples of highest last loss.

    Notes
    -----
    Within the subset, samples that were never seen, or whose loss is NaN or infinite, are kept
    besides: epoch 0 holds the whole subset. There are no weights, and pruning goes on to the last
    epoch, as in the published code.

    References
    ----------
    Jin et al., "OrderDP: A Theoretically Guaranteed Lossless Dynamic Data Pruning Framework",
    ICLR 2026.

    Examples
    --------
    >>> policy = ds.OrderDP(random_len_ratio=1.0, top_q_ratio=0.5)
    >>> table = ds.ScoreTable(4, policy.columns)
    >>> table.observe(np.arange(4), loss=np.array([4, 1, 3, 2], np.float32))
    >>> policy.select(table, 1, ds.EpochRandom(0, 1)).hidden
    array([False,  True, False,  True])
    """

    random_len_ratio: float = 0.75
    top_q_ratio: float = 0.85

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.random_len_ratio, "random_len_ratio", "(0, 1]")
        real(self.top_q_ratio, "top_q_ratio", "(0, 1]")

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last loss of every sample."""
        return {"loss": Last()}

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select a random subset without its lowest losses."""
        size = int(self.random_len_ratio * table.num_samples)
        kept = int(self.top_q_ratio * size)
        subset = table.sample(size, random)
        lowest = table.hide_lowest(table["loss"], size - kept, eligible=subset)
        return Selection(hidden=~subset | lowest)
