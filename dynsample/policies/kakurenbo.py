"""KAKURENBO: hide what is learned, bring back what is unsure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dynsample.kernels.checks import MAX_SAMPLES, choice, integer, real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class Kakurenbo(Policy):
    """Hide easy samples for one epoch; bring back those the model is not sure of.

    Parameters
    ----------
    fraction : float in [0, 1)
        Most samples to hide in an epoch.
    tau : float in [0, 1]
        A candidate stays hidden only if predicted correctly with at least this confidence.
    schedule : callable(epoch) -> float, optional
        Factor of `fraction` in an epoch, `dynsample.schedules.kakurenbo(90)` for one; None: 1.
    warmup_epochs : float
        Length of the warm-up: the learning rate of epochs that begin in it is left alone. Samples
        are hidden from epoch 1 on.
    refresh_every : int
        Hidden samples are due for a forward pass in epochs divisible by this.
    confidence : "max" or "target"
        Softmax probability of the predicted class, or of the target's, where it is computed from
        logits. The published code takes the softmax over the batch instead of the classes.
    lr : "maximum" or "realised"
        The learning rate is divided by 1 - F, F the largest fraction that could be hidden (as
        published), or the fraction that is.

    References
    ----------
    Nguyen et al., "KAKURENBO: Adaptively Hiding Samples in Deep Neural Network Training",
    NeurIPS 2023, algorithm 1.

    Examples
    --------
    >>> policy = ds.Kakurenbo(fraction=0.5)
    >>> table = ds.ScoreTable(4, policy.columns)
    >>> loss, confidence = np.array([[0.1, 0.2, 0.9, 0.8], [0.9, 0.5, 0.8, 0.8]], np.float32)
    >>> table.observe(np.arange(4), loss=loss, correct=loss < 0.5, confidence=confidence)
    >>> policy.select(table, 1, ds.EpochRandom(0, 1)).hidden  # 1 is easy, but not sure enough
    array([ True, False, False, False])
    """

    fraction: float = 0.3
    tau: float = 0.7
    schedule: Callable[[int], float] | None = None
    warmup_epochs: float = 0
    refresh_every: int = 1
    confidence: Literal["max", "target"] = "max"
    lr: Literal["maximum", "realised"] = "maximum"

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.fraction, "fraction", "[0, 1)")
        real(self.tau, "tau", "[0, 1]")
        real(self.warmup_epochs, "warmup_epochs", "[0, inf)")
        integer(self.refresh_every, "refresh_every", 1, MAX_SAMPLES)
        choice(self.confidence, "confidence", ("max", "target"))
        choice(self.lr, "lr", ("maximum", "realised"))
        if self.schedule is not None and not callable(self.schedule):
            raise TypeError(f"schedule must be callable or None, got {self.schedule!r}")

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last loss, correctness and confidence of every sample."""
        return {"loss": Last(), "correct": Last(), "confidence": Last()}

    def max_fraction(self, epoch: int) -> float:
        """Return the fraction of the samples that may be hidden in an epoch."""
        if self.schedule is None:
            return self.fraction
        factor = real(self.schedule(epoch), f"schedule({epoch})", "[0, inf)")
        return real(self.fraction * factor, f"fraction * schedule({epoch})", "[0, 1)")

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select all but the lowest losses that were predicted surely."""
        fraction = self.max_fraction(epoch)
        most = int(fraction * table.num_samples) if epoch else 0
        candidates = table.hide_lowest(table["loss"], most)
        sure = (table["correct"] > 0) & (table["confidence"] >= self.tau)
        hidden = candidates & sure
        num_candidates, num_hidden = table.counts(candidates, hidden)
        scaled = fraction if self.lr == "maximum" else num_hidden / max(table.num_samples, 1)
        return Selection(
            hidden=hidden,
            lr_scale=1.0 if epoch < self.warmup_epochs else 1.0 / (1.0 - scaled),
            refresh=epoch % self.refresh_every == 0,
            stats={
                "max_fraction": fraction,
                "candidates": num_candidates,
                "moved_back": num_candidates - num_hidden,
            },
        )
