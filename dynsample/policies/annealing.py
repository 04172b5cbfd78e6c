"""The last epochs of a run, in which a policy no longer selects by the losses."""

from __future__ import annotations

from dynsample.kernels.checks import MAX_SAMPLES, integer, real


def check_delta(delta: float, epochs: int | None) -> None:
    """Check the share of the epochs that a policy selects in, and the epochs that it is of."""
    real(delta, "delta", "[0, 1]")
    if epochs is not None:
        integer(epochs, "epochs", 0, MAX_SAMPLES)
    elif delta < 1:
        raise ValueError(
            f"epochs must be given when delta is below 1 (delta = {delta}): pruning stops "
            "at epoch int(delta * epochs)"
        )


def is_annealing(epoch: int, delta: float, epochs: int | None) -> bool:
    """Whether an epoch is one of the last: from int(delta * epochs) on; none is with delta = 1."""
    return delta < 1 and epoch >= int(delta * (epochs or 0))
