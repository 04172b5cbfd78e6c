"""What one training run cost and gave."""

from __future__ import annotations

from dataclasses import dataclass, field

FORWARD_COST = 1 / 3  # of a sample's forward pass, when forward and backward together cost 1


@dataclass
class Run:
    """What one run cost and gave.

    Attributes
    ----------
    backward, forward_only : int
        Samples that were trained on, and those that were only looked at again.
    seconds, planning_seconds : float
        Wall time of training without the evaluations; the part that went into fold and plan.
    hidden : list of float
        Share of the samples that was left out, by epoch.
    curve : list of (float, float)
        Cost so far in samples, and accuracy on the test set in percent, after every epoch.
    """

    backward: int = 0
    forward_only: int = 0
    seconds: float = 0.0
    planning_seconds: float = 0.0
    hidden: list[float] = field(default_factory=list)
    curve: list[tuple[float, float]] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """Samples trained on, and a third of those only looked at."""
        return self.backward + FORWARD_COST * self.forward_only

    @property
    def accuracy(self) -> float:
        """At the end, in percent."""
        return self.curve[-1][1]
