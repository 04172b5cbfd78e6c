"""Importance sampling by loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynsample.kernels.checks import MAX_SAMPLES, boolean, integer, real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last

if TYPE_CHECKING:
    from dynsample.kernels import Array
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class ImportanceSampling(Policy):
    """Draw samples with probability proportional to their last loss.

    Parameters
    ----------
    num_draws : int, optional
        Draws of an epoch; None draws as many as there are samples.
    replacement : bool
        Whether one sample can be drawn more than once in an epoch.
    smoothing : float in [0, 1)
        Share of the uniform distribution in the mix.
    temperature : float above 0
        Probabilities go by loss ** (1 / temperature).
    correct_bias : bool
        Weigh sample i by 1 / (N p_i), so that the mean weighted loss of a draw estimates the mean
        loss without bias. Needs smoothing above 0, so that nothing has probability 0.

    Notes
    -----
    While nothing was seen, and where all losses are 0, an epoch holds every sample once.
    Never-seen samples, and those with NaN or an infinite loss, are drawn with the largest
    probability. A negative loss is an error.

    References
    ----------
    Katharopoulos and Fleuret, "Not All Samples Are Created Equal: Deep Learning with Importance
    Sampling", ICML 2018, equation 10; ISWR in the experiments of KAKURENBO, NeurIPS 2023.

    Examples
    --------
    >>> policy = ds.ImportanceSampling(num_draws=8)
    >>> table = ds.ScoreTable(3, policy.columns)
    >>> table.observe(np.arange(3), loss=np.array([0.0, 1.0, 3.0], np.float32))
    >>> policy.select(table, 1, ds.EpochRandom(0, 1)).counts
    array([0, 2, 6], dtype=uint32)
    """

    num_draws: int | None = None
    replacement: bool = True
    smoothing: float = 0.0
    temperature: float = 1.0
    correct_bias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_draws is not None:
            integer(self.num_draws, "num_draws", 0, MAX_SAMPLES)
        boolean(self.replacement, "replacement")
        real(self.smoothing, "smoothing", "[0, 1)")
        real(self.temperature, "temperature", "(0, inf)")
        if boolean(self.correct_bias, "correct_bias"):
            if not self.smoothing:
                raise ValueError(
                    "smoothing must be above 0 with correct_bias=True, got 0: a sample of loss 0 "
                    "would have probability 0 and weight 1 / 0"
                )
            if not self.replacement:
                raise ValueError(
                    "replacement must be True with correct_bias=True, got False: 1 / (N p) is the "
                    "weight of draws with replacement only"
                )

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last loss of every sample."""
        return {"loss": Last()}

    def probabilities(self, table: ScoreTable) -> Array | None:
        """Probabilities up to a factor, NaN where not seen; None where all are the same."""
        loss = table["loss"]
        lowest, highest = table.min_max(loss)
        if lowest < 0:
            raise ValueError(f"loss must not be negative for ImportanceSampling, got {lowest}")
        if not highest > 0:
            return None
        if self.temperature != 1:
            # Scaled first, so that no power overflows.
            loss = table.power(table.divide(loss, highest), 1.0 / self.temperature)
        if self.smoothing:
            scaled = table.divide(loss, table.exact_mean(loss))
            loss = scaled * (1.0 - self.smoothing) + self.smoothing
        return loss

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Draw by loss, or give every sample once while there is nothing to go by."""
        probabilities = self.probabilities(table)
        if probabilities is None:
            return Selection()
        k = table.num_samples if self.num_draws is None else self.num_draws
        draw = table.draw(probabilities, k, random, replacement=self.replacement)
        weights = draw.inverse_probabilities if self.correct_bias else None
        return draw.selection(weights)
