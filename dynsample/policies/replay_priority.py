"""Prioritized level replay: draw by the rank of the score, and by how long it was not drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynsample.kernels.checks import MAX_SAMPLES, boolean, integer, real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last
from dynsample.table.issued import Issued

if TYPE_CHECKING:
    from dynsample.kernels import Array
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class ReplayPriority(Policy):
    """Draw with P = (1 - rho) P_S + rho P_C: by the rank of the score, and by staleness (PLR).

    P_S is in proportion to rank ** (-1 / temperature), the highest score having rank 1, and P_C to
    the epochs since a sample was issued last, ``epoch - last_epoch``.

    Parameters
    ----------
    rho : float in [0, 1]
        Share of staleness.
    temperature : float above 0
        A small one draws the highest scores alone.
    signal : str
        The score: what is observed of a sample, such as its loss or the error of a value.
    num_draws : int, optional
        Draws of an epoch; None draws as many as there are samples.
    replacement : bool
        Whether one sample can be drawn more than once in an epoch.

    Notes
    -----
    Never-seen samples, and those with NaN or an infinite score, are drawn with the largest
    probability; published code draws unseen levels apart, with a probability of its own. While
    nothing is known an epoch holds every sample once. It is biased towards high scores, on purpose:
    no weights. Samples of rank above 10 ** (38 * temperature) are drawn by staleness alone.

    References
    ----------
    Jiang et al., "Prioritized Level Replay", ICML 2021, equations 1 to 3.

    Examples
    --------
    >>> policy = ds.ReplayPriority(rho=0.0, temperature=1.0)
    >>> table = ds.ScoreTable(3, policy.columns)
    >>> table.observe(np.arange(3), loss=np.array([1, 3, 2], np.float32))
    >>> p = policy.probabilities(table, 1)
    >>> (p / p.sum()).round(2)
    array([0.18, 0.55, 0.27], dtype=float32)
    """

    rho: float = 0.1
    temperature: float = 0.1
    signal: str = "loss"
    num_draws: int | None = None
    replacement: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.rho, "rho", "[0, 1]")
        real(self.temperature, "temperature", "(0, inf)")
        if not isinstance(self.signal, str) or self.signal in ("", "issued"):
            raise ValueError(f"signal must be a name other than 'issued', got {self.signal!r}")
        if self.num_draws is not None:
            integer(self.num_draws, "num_draws", 0, MAX_SAMPLES)
        boolean(self.replacement, "replacement")

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last score of every sample, and when each was issued."""
        return {self.signal: Last(), "issued": Issued()}

    def probabilities(self, table: ScoreTable, epoch: int) -> Array | None:
        """Probabilities up to a factor, NaN where the score is not known; None where none is."""
        position = table.ranks(table[self.signal])
        ranked = position >= 0
        count = table.count(ranked)
        if not count:
            return None
        rank = table.choose(ranked, table.floats(count - position), float("nan"))
        by_score = table.power(rank, -1.0 / self.temperature)
        stale = table.floats(epoch - table.issued.last_epoch)
        stale = table.choose(stale > 0, stale, 0.0)  # epochs may be counted again
        mean = table.exact_mean(stale, ranked)
        if not self.rho or not mean:
            return by_score
        scaled = table.divide(by_score, table.exact_mean(by_score))
        return scaled * (1.0 - self.rho) + table.divide(stale, mean) * self.rho

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Draw by score and staleness, or give every sample once while there is no score."""
        probabilities = self.probabilities(table, epoch)
        if probabilities is None:
            return Selection()
        k = table.num_samples if self.num_draws is None else self.num_draws
        return table.draw(probabilities, k, random, replacement=self.replacement).selection()
