"""Schedules: how a policy's fraction, or the share that it keeps, changes over the epochs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from dynsample.kernels.checks import MAX_SAMPLES, choice, integer, real

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

    Examples
    --------
    >>> factor = Steps(milestones=[2, 4], factors=[1.0, 0.5, 0.0])
    >>> [factor(epoch) for epoch in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.0]
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


@dataclass(frozen=True)
class Growth:
    """A share that grows from `start` to 1, which it reaches at epoch `epochs` and keeps.

    Parameters
    ----------
    start : float in [0, 1]
        Share in epoch 0.
    epochs : int
        At least 1.
    form : "linear" or "root"
        By which x = epoch / epochs the share is start + (1 - start) * x, or the square root of x.

    Examples
    --------
    >>> Growth(start=0.5, epochs=4)(2)
    0.75
    """

    start: float
    epochs: int
    form: str = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", real(self.start, "start", "[0, 1]"))
        object.__setattr__(self, "epochs", integer(self.epochs, "epochs", 1, MAX_SAMPLES))
        choice(self.form, "form", ("linear", "root"))

    def __call__(self, epoch: int) -> float:
        """Share of an epoch."""
        if epoch >= self.epochs:
            return 1.0
        done = epoch / self.epochs
        # Of the roots, IEEE defines the square root to the bit.
        return self.start + (1.0 - self.start) * (done if self.form == "linear" else sqrt(done))


def linear(start: float, epochs: int) -> Growth:
    """Return the linear pacing function: the same number of samples joins in every epoch.

    Parameters
    ----------
    start : float in [0, 1]
        Share of the samples in epoch 0.
    epochs : int
        The epoch from which on all samples are there.

    References
    ----------
    Wu, Dyer and Neyshabur, "When Do Curricula Work?", ICLR 2021, pacing functions.

    Examples
    --------
    >>> [linear(0.2, 4)(epoch) for epoch in (0, 1, 4, 9)]
    [0.2, 0.4, 1.0, 1.0]
    """
    return Growth(start, epochs)


def root(start: float, epochs: int) -> Growth:
    """Return the root pacing function: most of the samples join in the first epochs.

    Parameters
    ----------
    start, epochs
        As in `linear`.

    References
    ----------
    Wu, Dyer and Neyshabur, "When Do Curricula Work?", ICLR 2021, pacing functions: the polynomial
    of degree 1/2.

    Examples
    --------
    >>> [root(0.5, 4)(epoch) for epoch in (0, 1, 4)]
    [0.5, 0.75, 1.0]
    """
    return Growth(start, epochs, "root")


def step(start: float, epochs: int) -> Steps:
    """Return the step pacing function: all other samples join at once.

    Parameters
    ----------
    start, epochs
        As in `linear`. `Steps` has more steps than one.

    References
    ----------
    Hacohen and Weinshall, "On The Power of Curriculum Learning in Training Deep Networks", ICML
    2019, single-step pacing.

    Examples
    --------
    >>> [step(0.2, 4)(epoch) for epoch in (0, 3, 4)]
    [0.2, 0.2, 1.0]
    """
    return Steps((epochs,), (real(start, "start", "[0, 1]"), 1.0))
