"""Curriculum learning: easy samples first, by a difficulty that is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynsample.kernels.checks import real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Static

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class Curriculum(Policy):
    """Keep the easiest samples, more of them from epoch to epoch.

    Parameters
    ----------
    pace : callable(epoch) -> float
        Share of the samples in an epoch, of [0, 1]: `dynsample.schedules.linear(0.2, 30)` for one,
        or `root` or `step` there. The int(pace(epoch) * N) easiest are kept.

    Notes
    -----
    How difficult a sample is says the column "difficulty", which is set before the first epoch:
    ``sampler.table.set_column("difficulty", losses_of_another_model)``. A sample of difficulty NaN
    or infinite is kept as if it were easiest.

    References
    ----------
    Hacohen and Weinshall, "On The Power of Curriculum Learning in Training Deep Networks", ICML
    2019, algorithm 1; Wu, Dyer and Neyshabur, "When Do Curricula Work?", ICLR 2021, algorithm 1.

    Examples
    --------
    >>> policy = ds.Curriculum(ds.schedules.linear(0.5, 10))
    >>> table = ds.ScoreTable(4, policy.columns)
    >>> table.set_column("difficulty", [4, 1, 3, 2])
    >>> policy.select(table, 0, ds.EpochRandom(0, 0)).hidden
    array([ True, False,  True, False])
    """

    pace: Callable[[int], float]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.pace):
            raise TypeError(f"pace must be callable with an epoch, got {self.pace!r:.80}")

    @property
    def columns(self) -> Mapping[str, Column]:
        """How difficult every sample is, as it was given."""
        return {"difficulty": Static()}

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select all but the most difficult."""
        difficulty = table.imported("difficulty")
        share = real(self.pace(epoch), f"pace({epoch})", "[0, 1]")
        left_out = table.num_samples - int(share * table.num_samples)
        return Selection(hidden=table.hide_lowest(-difficulty, left_out, known=True))
