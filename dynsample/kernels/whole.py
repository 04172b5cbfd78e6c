"""Draws from all rows of one process, put together of what ranks make draws from parts with."""

from __future__ import annotations

from dynsample.kernels.protocol import A, Kernels, Rates


def stand_in(largest: float) -> float:
    """Return what probabilities that are not finite count as: the largest that is, or else 1.

    Parameters
    ----------
    largest : float
        Of the finite probabilities of all rows, 0 if there are none, as `Kernels.survey` says.
    """
    return largest or 1.0


def check_enough(k: int, positive: int) -> None:
    """Raise when k rows cannot be drawn without replacement."""
    if k > positive:
        raise ValueError(
            f"k must be at most the number of positive probabilities, {positive}, got {k}"
        )


def rates_of(there: Kernels[A], probabilities: A, k: int) -> Rates[A]:
    """Return the rates of all rows in k draws."""
    substitute = stand_in(there.survey(probabilities)[0])
    sums = there.exponent_sums(probabilities, substitute)
    return there.rates(probabilities, sums, substitute, k)


def counts_of(
    there: Kernels[A], probabilities: A, k: int, seed: int, epoch: int, *, multinomial: bool
) -> A:
    """Return how often each row is drawn in k draws with replacement."""
    rates = rates_of(there, probabilities, k)  # refuses what cannot be drawn from, also for k = 0
    if not k:
        return there.no_counts(len(probabilities))
    if multinomial:
        return rates.multinomial(k, seed, epoch)
    return rates.systematic(0, rates.total, k, seed, epoch)
