"""Schedules: how a policy's fraction changes over the epochs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from dynsample.kernels.checks import MAX_SAMPLES, integer, real

_MILESTONES = {90: (30, 60, 80), 200: (60, 120, 160), 600: (200, 400, 600)}


@dataclass(frozen=True)
class Steps:
    """A factor that changes at milestones: `factors[number of milestones <= epoch]`.

    Parameters
    ----------
    milestones : sequence of int
        Epochs, strictly ascending.
    factors : sequence of float
        One more than milestones; finite and not negative.
    """

    milestones: Sequence[int]
    factors: Sequence[float]

    def __post_init__(self) -> None:
        milestones = tuple(
            integer(epoch, "milestones", 0, MAX_SAMPLES) for epoch in self.milestones
        )
        factors = tuple(real(factor, "factors", "[0, inf)") for factor in self.factors)
        if any(after <= before for before, after in itertools.pairwise(milestones)):
            raise ValueError(f"milestones must ascend strictly, got {milestones}")
        if len(factors) != len(milestones) + 1:
            raise ValueError(
                f"factors must have {len(milestones) + 1} entries, one more than milestones, "
                f"got {len(factors)}"
            )
        object.__setattr__(self, "milestones", milestones)
        object.__setattr__(self, "factors", factors)

    def __call__(self, epoch: int) -> float:
        """Factor of an epoch."""
        return self.factors[len([m for m in self.milestones if m <= epoch])]


def kakurenbo(num_epochs: int) -> Steps:
    """Return the published schedule: 1, 0.8, 0.6 and 0.4 of the fraction, from its milestones on.

    Parameters
    ----------
    num_epochs : 90, 200 or 600
        Length of the run. The milestones are (30, 60, 80), (60, 120, 160) and (200, 400, 600).

    References
    ----------
    Nguyen et al., "KAKURENBO: Adaptively Hiding Samples in Deep Neural Network Training",
    NeurIPS 2023, section 4 and its published configurations.

    Examples
    --------
    >>> [kakurenbo(90)(epoch) for epoch in (0, 29, 30, 60, 89)]
    [1.0, 1.0, 0.8, 0.6, 0.4]
    """
    if num_epochs not in _MILESTONES:
        raise ValueError(
            f"num_epochs must be 90, 200 or 600, got {num_epochs!r}; use Steps for other runs"
        )
    return Steps(_MILESTONES[num_epochs], (1.0, 0.8, 0.6, 0.4))
