"""InfoBatch: prune some of the well-learned, and weigh up the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynsample.kernels.checks import real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.annealing import check_delta, is_annealing
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class InfoBatch(Policy):
    """Hide a random part of the samples below the mean loss; the weights keep the sum unbiased.

    Parameters
    ----------
    ratio : float in [0, 1)
        Fraction of the well-learned samples (loss strictly below the mean) to hide.
    delta : float in [0, 1]
        Fraction of the epochs in which samples are hidden: those below int(delta * epochs).
    epochs : int, optional
        Epochs of the whole run; needed when delta is below 1.

    Notes
    -----
    Of the m well-learned samples int((1 - ratio) * m) are kept, drawn without replacement, with
    weight m / kept, and everything else has weight 1; so the expected weighted sum of the losses is
    their sum. Where nothing would be kept, everything is. Train on `(weights * loss).mean()`.

    References
    ----------
    Qin et al., "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning", ICLR 2024,
    equations 3 to 7.

    Examples
    --------
    >>> policy = ds.InfoBatch(ratio=0.5, delta=1.0)
    >>> table = ds.ScoreTable(5, policy.columns)
    >>> table.observe(np.arange(5), loss=np.array([1, 1, 1, 1, 9], np.float32))
    >>> selection = policy.select(table, 1, ds.EpochRandom(0, 1))
    >>> int(selection.hidden.sum()), float(selection.weights[~selection.hidden].sum())
    (2, 5.0)
    """

    ratio: float = 0.5
    delta: float = 0.875
    epochs: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.ratio, "ratio", "[0, 1)")
        check_delta(self.delta, self.epochs)

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last loss of every sample."""
        return {"loss": Last()}

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select what is not well learned, and a random part of what is."""
        if is_annealing(epoch, self.delta, self.epochs):
            return Selection()
        loss = table["loss"]
        well = table.below(loss, table.exact_mean(loss))
        num_well = table.count(well)
        kept = int((1.0 - self.ratio) * num_well)
        stats = {"well_learned": num_well}
        if kept in {0, num_well}:
            return Selection(stats=stats)
        hidden = well & ~table.sample(kept, random, where=well)
        weights = table.choose(well, num_well / kept, 1.0)
        return Selection(hidden=hidden, weights=weights, stats=stats)
