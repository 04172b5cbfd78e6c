"""Group DRO by sampling: draw the groups whose loss is high."""

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
class GroupDRO(Policy):
    """Draw groups by the softmax of their mean loss, and samples of a group alike.

    A sample of group g is drawn with replacement with probability p_g / n_g, p_g in proportion to
    exp(L_g / temperature), with L_g the mean of the last losses and n_g the size of the group. The
    groups are those of the sampler.

    Parameters
    ----------
    temperature : float above 0
        A small one draws from the group of the highest loss alone.
    num_draws : int, optional
        Draws of an epoch; None draws as many as there are samples.

    Notes
    -----
    The published algorithm draws groups alike and multiplies losses by weights q, which every
    step multiplies by exp(step size * loss of its group): they accumulate the losses of the whole
    run. Here the last losses alone decide, once an epoch, and by draws in place of weights, so that
    an epoch is a function of the table. It is biased towards groups of high loss, on purpose, and
    1 / (N p) is not applied. While nothing is known an epoch holds every sample once. The samples
    of a group without a known loss are drawn with the largest probability of a sample; a group
    whose loss is more than 100 temperatures below the highest is not drawn.

    References
    ----------
    Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020,
    algorithm 1.

    Examples
    --------
    >>> policy = ds.GroupDRO(temperature=0.1)
    >>> table = ds.ScoreTable(4, policy.columns, groups=[0, 0, 1, 1])
    >>> table.observe(np.arange(4), loss=np.array([0.1, 0.1, 2.0, 2.0], np.float32))
    >>> policy.select(table, 1, ds.EpochRandom(0, 1)).counts
    array([0, 0, 2, 2], dtype=uint32)
    """

    temperature: float = 1.0
    num_draws: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.temperature, "temperature", "(0, inf)")
        if self.num_draws is not None:
            integer(self.num_draws, "num_draws", 0, MAX_SAMPLES)

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last loss of every sample."""
        return {"loss": Last()}

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Draw by the losses of the groups, or give every sample once while there are none."""
        groups = table.by_group
        losses = table.by_group.mean(table["loss"])
        known = [loss for loss in losses.tolist() if loss == loss]
        if not known:
            return Selection()
        below = groups.spread(losses) - max(known)
        probabilities = table.exp(table.divide(below, self.temperature))
        probabilities = probabilities / groups.spread(groups.count())
        k = table.num_samples if self.num_draws is None else self.num_draws
        # Of a known group, an unseen sample is drawn as the others are.
        return table.draw(probabilities, k, random, replacement=True, known=True).selection()
