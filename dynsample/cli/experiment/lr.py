"""The learning rate at a share `done` of training, over its peak.

Without the decay, the accuracy on glyphs swings by several points from epoch to epoch, more than
the methods differ. By share, so that a run on a smaller budget decays as far.
"""

from __future__ import annotations

import math

WARM_UP = 0.1  # of training, in which the learning rate rises


def one_cycle(done: float) -> float:
    """Rise linearly, and fall as half a cosine."""
    if done < WARM_UP:
        return done / WARM_UP
    return (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP)))) / 2


def linear(done: float) -> float:
    """Fall from the first step on."""
    return max(0.0, 1.0 - done)
