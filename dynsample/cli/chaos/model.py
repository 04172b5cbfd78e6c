"""A classifier whose training is exact: the same bits on any number of ranks.

Everything is done in integers, whose sums do not depend on their order: data, weights (in units of
2**-16), probabilities (from a table of exponentials) and gradients. The one floating-point result,
the loss, is computed sample by sample in scalar arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_FEATURES, NUM_CLASSES = 12, 4
_ONE = 1 << 16
_WEIGHT_ONE = 1 << 10  # of loss weights and of lr_scale
# exp(-i / 256), at least one unit so that no loss is infinite.
_EXPONENTIALS = np.array([max(1, round(_ONE * math.exp(-i / 256))) for i in range(4096)], np.int64)
_LEARNING_RATE_SHIFT = 30  # about 0.05 for the mean over 48 rows

Integers = NDArray[np.int64]


def make_data(num_samples: int, seed: int) -> tuple[Integers, Integers]:
    """Draw features int64[N, F] around a centre for each class, and labels int64[N], some wrong."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, NUM_CLASSES, num_samples)
    centres = random.integers(-3, 4, (NUM_CLASSES, NUM_FEATURES))
    features = centres[labels] + random.integers(-4, 5, (num_samples, NUM_FEATURES))
    wrong = random.integers(0, 20, num_samples) == 0
    return features, np.where(wrong, random.integers(0, NUM_CLASSES, num_samples), labels)


@dataclass(frozen=True)
class Output:
    """What the model says of a batch: the signals float32[B], and p - onehot int64[B, C]."""

    loss: NDArray[np.float32]
    correct: NDArray[np.float32]
    confidence: NDArray[np.float32]
    error: Integers


class Model:
    """Softmax regression in integers.

    Attributes
    ----------
    weights : int64[F, C]
    """

    def __init__(self, num_samples: int, seed: int) -> None:
        self.features, self.labels = make_data(num_samples, seed)
        self.weights: Integers = np.zeros((NUM_FEATURES, NUM_CLASSES), np.int64)

    def forward(self, index: Integers) -> Output:
        """Evaluate a batch; a row's result does not depend on the others."""
        labels = self.labels[index]
        logits = (self.features[index][:, :, None] * self.weights).sum(axis=1)
        below = (logits.max(axis=1, keepdims=True) - logits) >> 8
        powers = _EXPONENTIALS[np.minimum(below, len(_EXPONENTIALS) - 1)]
        total = powers.sum(axis=1)
        shares = (powers << 16) // total[:, None]
        rows = np.arange(len(index))
        pairs = zip(total.tolist(), powers[rows, labels].tolist(), strict=True)
        error = shares.copy()
        error[rows, labels] -= _ONE
        return Output(
            loss=np.array([math.log(whole / part) for whole, part in pairs], np.float32),
            correct=(logits.argmax(axis=1) == labels).astype(np.float32),
            confidence=(shares.max(axis=1, initial=0) / _ONE).astype(np.float32),
            error=error,
        )

    def gradient(self, index: Integers, output: Output, weights: NDArray[np.float32]) -> Integers:
        """Sum of the weighted gradients of a batch, int64[F, C]."""
        factors = np.rint(weights.astype(np.float64) * _WEIGHT_ONE).astype(np.int64)
        gradients: Integers = self.features[index].T @ (output.error * factors[:, None])
        return gradients

    def update(self, gradient: Integers, lr_scale: float) -> None:
        """Take one step; rounding is a shift."""
        self.weights -= (gradient * round(lr_scale * _WEIGHT_ONE)) >> _LEARNING_RATE_SHIFT
