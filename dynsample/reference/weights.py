"""Oracles of the weights by classes: one sample after the other, from the papers' words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def balanced(labels: Sequence[int], power: float) -> list[float]:
    """Weigh by (1 / samples of the class) ** power, with mean 1."""
    sizes = Counter(labels)
    return _mean_one([math.pow(1 / sizes[label], power) for label in labels])


def effective_number(labels: Sequence[int], beta: float) -> list[float]:
    """Weigh by 1 / E, E = 1 + beta + ... + beta ** (n - 1): the sum that the formula closes."""
    sizes = Counter(labels)
    return _mean_one([1 / math.fsum(beta**j for j in range(sizes[label])) for label in labels])


def repeat_factor(labels: Sequence[Sequence[int]], threshold: float) -> list[float]:
    """Take the largest max(1, sqrt(t / f)) among the classes of a sample."""
    having = Counter(label for classes in labels for label in set(classes))
    share = {label: count / len(labels) for label, count in having.items()}
    return [
        max((max(1.0, math.sqrt(threshold / share[label])) for label in classes), default=1.0)
        for classes in labels
    ]


def _mean_one(weights: list[float]) -> list[float]:
    return [weight * len(weights) / math.fsum(weights) for weight in weights]
