"""Every sample once an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class Uniform(Policy):
    """Every sample once an epoch: nothing hidden, nothing weighted.

    Examples
    --------
    >>> ds.Sampler(4, ds.Uniform(), order="sequential").plan.order
    array([0, 1, 2, 3])
    """

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select everything."""
        return Selection()
