"""A random subset every epoch: the control of every experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dynsample.kernels.checks import boolean, real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class RandomSubset(Policy):
    """Hide a random fraction of the samples every epoch (RS2).

    Parameters
    ----------
    fraction : float in [0, 1)
        Fraction of the samples to HIDE, as in `Kakurenbo(fraction=)`: `N - int(fraction * N)`
        samples are kept. RS2 names its rate by what is kept.
    replacement : bool
        Between epochs, never within one. True: every epoch draws a fresh subset. False: epochs walk
        around a random permutation, so that samples are used equally often, see Notes.

    Notes
    -----
    Without replacement, epoch j of a round keeps the K samples at positions jK, ..., jK + K - 1 of
    the round's permutation, counted modulo N. A round has ceil(N / min(K, N - K)) epochs: what it
    takes to keep, and to hide, every sample at least once. The next round has a fresh permutation.
    An epoch never reaches into two permutations and K <= N, so it never holds a sample twice;
    within a round the uses of two samples differ by one at most. Epoch and seed alone determine
    the subset.

    References
    ----------
    Okanovic et al., "Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning",
    ICLR 2024.

    Examples
    --------
    >>> sampler = ds.Sampler(10, ds.RandomSubset(fraction=0.5))
    >>> seen = set()
    >>> for epoch in range(2):
    ...     sampler.set_epoch(epoch)
    ...     seen |= set(sampler.plan.order.tolist())
    >>> len(sampler.plan.order), len(seen)
    (5, 10)
    """

    fraction: float = 0.3
    replacement: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.fraction, "fraction", "[0, 1)")
        boolean(self.replacement, "replacement")

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select N - int(fraction * N) samples at random."""
        total = table.num_samples
        hidden = int(self.fraction * total)
        kept = total - hidden
        if not hidden:
            return Selection()
        if self.replacement:
            return Selection(hidden=~table.sample(kept, random))
        in_round = -(-total // min(kept, hidden))
        round_random = replace(random, epoch=epoch // in_round)
        return Selection(hidden=~table.walk(epoch % in_round * kept, kept, round_random))
