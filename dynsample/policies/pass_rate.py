"""Prompts of reinforcement learning, drawn by how much their pass rate can teach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dynsample.kernels import PassRateCurve
from dynsample.kernels.checks import MAX_SAMPLES, boolean, choice, integer, real
from dynsample.kernels.numbers import rounded_up
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import EMA, Column

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable

_LEAST = 1e-6  # probability of a draw, beside 1 or 1/4


@dataclass(frozen=True)
class PassRate(Policy):
    """Draw prompts whose rollouts pass and fail, and seldom those that always do the one.

    What is observed of a prompt is `reward`, the mean reward of its rollouts, in [0, 1]; its pass
    rate p is an exponential moving average of it. An epoch is a step of the trainer.

    Parameters
    ----------
    num_draws : int, optional
        Prompts of a step; None takes as many as there are. Without replacement a step has no more
        than can be drawn.
    form : "variance" or "gaussian"
        A prompt is drawn with probability in proportion to ``p * (1 - p) + eps``, or to
        ``exp(-(p - target)**2 / (2 * width**2)) + eps``.
    target : float in [0, 1]
        Pass rate of the largest probability, of the Gaussian.
    width : float, at least 0.001
        Standard deviation of the Gaussian.
    eps : 0, or a float in [1e-6, 1]
        What even the least informative prompt has; with 0 and "variance", one that always fails or
        always passes is not drawn.
    retire : float in (0, 1], optional
        A prompt whose pass rate is at least this is not drawn any more; None retires none.
    decay : float in [0, 1)
        Share of the old pass rate that stays when a reward comes; 0 keeps the last one alone.
    replacement : bool
        Whether one prompt can be drawn more than once in a step.

    Notes
    -----
    A prompt that was never observed, or whose reward is NaN or infinite, is drawn as one of p =
    0.5, or of p = `target`: nothing is more worth a try. Pass rates that are known beforehand are
    imported by ``sampler.table.set_column("reward", pass_rates)``, NaN where one is not.

    A retired prompt is not drawn, so its pass rate stays as it is: it comes back only by a late
    observation, or by `set_column`. It is hidden, and never due for a pass over what is hidden.

    The draw is biased, on purpose, and there are no weights: where all rollouts of a prompt have
    one reward, those methods learn nothing of it that compare the rollouts of a group.

    Raises
    ------
    ValueError
        When an epoch is planned: where a pass rate is outside of [0, 1], and where all prompts are
        retired or have probability 0.

    References
    ----------
    Foster et al., "Learning to Reason at the Frontier of Learnability", 2025, arXiv 2502.12272, for
    p (1 - p).

    Examples
    --------
    Prompts that always pass are retired, and one that always fails is drawn seldom:

    >>> policy = ds.PassRate(num_draws=2, retire=0.9)
    >>> table = ds.ScoreTable(5, policy.columns)
    >>> table.observe(np.arange(4), reward=np.array([0, 0.5, 1, 1], np.float32))
    >>> selection = policy.select(table, 1, ds.EpochRandom(seed=0, epoch=1))
    >>> np.flatnonzero(~selection.hidden), selection.stats
    (array([1, 4]), {'retired': 2})
    """

    num_draws: int | None = None
    form: Literal["variance", "gaussian"] = "variance"
    target: float = 0.5
    width: float = 0.2
    eps: float = 0.01
    retire: float | None = None
    decay: float = 0.5
    replacement: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_draws is not None:
            integer(self.num_draws, "num_draws", 0, MAX_SAMPLES)
        choice(self.form, "form", ("variance", "gaussian"))
        real(self.target, "target", "[0, 1]")
        real(self.width, "width", "[0.001, inf)")
        if real(self.eps, "eps", "[0, 1]") and self.eps < _LEAST:
            raise ValueError(f"eps must be 0, or in [{_LEAST}, 1], got {self.eps}")
        if self.retire is not None:
            real(self.retire, "retire", "(0, 1]")
        real(self.decay, "decay", "[0, 1)")
        boolean(self.replacement, "replacement")

    @property
    def columns(self) -> Mapping[str, Column]:
        """The pass rate of every prompt."""
        return {"reward": EMA(self.decay)}

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Draw among the prompts that are not retired."""
        found = table.informative(table["reward"], self._curve)
        if found.outside:
            lowest, highest = table.min_max(table["reward"])
            raise ValueError(
                "reward must be in [0, 1] for PassRate, got pass rates from "
                f"{lowest:.8g} to {highest:.8g}"
            )
        k = table.num_samples if self.num_draws is None else self.num_draws
        if table.num_samples and k and not found.positive:
            raise ValueError(
                f"PassRate has nothing left to draw: of {table.num_samples} prompts "
                f"{found.retired} are retired and the others have probability 0; train on others, "
                "or give a higher retire, or an eps above 0"
            )
        if not (self.replacement and found.positive):
            k = min(k, found.positive)
        draw = table.draw(found.probabilities, k, random, replacement=self.replacement, known=True)
        return draw.selection(stats={} if self.retire is None else {"retired": found.retired})

    @property
    def _curve(self) -> PassRateCurve:
        retire = math.inf if self.retire is None else rounded_up(self.retire)
        return PassRateCurve(self.form == "gaussian", self.target, self.width, self.eps, retire)
