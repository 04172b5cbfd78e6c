"""Training on a teacher's logits: the loss, and batches in parts."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

from dynsample.kernels.checks import integer, real


def kl_loss(
    output: Tensor, logits: Tensor, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """Divergence of the student from the teacher, the mean over the batch.

    KLDivLoss(reduction="batchmean") of log_softmax(output / T) and softmax(logits / T), without the
    factor T^2, as published.

    Parameters
    ----------
    output, logits : float[B, C]
        Of the student and, raw, of the teacher; half precision is computed in float32.
    temperature : float above 0
    weights : float[B], optional
        `sampler.weights(index)`: what a policy gives its samples, and 0 for a padded row.

    Returns
    -------
    Tensor
        Without dimensions.

    References
    ----------
    Yin et al., "Squeeze, Recover and Relabel", NeurIPS 2023; their T is 20.

    Examples
    --------
    >>> import torch
    >>> teacher = torch.tensor([[2.0, 0.0]])
    >>> float(kl_loss(teacher, teacher, temperature=20.0))
    0.0
    """
    temperature = real(temperature, "temperature", "(0, inf)")
    if output.shape != logits.shape or output.dim() != 2:
        raise ValueError(
            f"output and logits must have one shape [B, C], got {list(output.shape)} and "
            f"{list(logits.shape)}"
        )
    student = F.log_softmax(output.float() / temperature, 1)
    teacher = F.softmax(logits.float() / temperature, 1)
    rows = F.kl_div(student, teacher, reduction="none").sum(1)
    return rows.mean() if weights is None else (weights * rows).mean()


def parts(num_rows: int, steps: int) -> Iterator[tuple[slice, float]]:
    """Parts of a batch, whose gradients are accumulated, with their shares of its mean.

    The sum of share * mean loss of each part is the mean loss of the batch, whatever its length: a
    short last batch counts by its rows. Parts are equal but for one row; there are no empty ones.

    Parameters
    ----------
    num_rows : int
    steps : int
        `--gradient-accumulation-steps`.

    Yields
    ------
    rows : slice
    share : float

    Examples
    --------
    >>> [(rows.start, rows.stop, share) for rows, share in parts(8, 2)]
    [(0, 4, 0.5), (4, 8, 0.5)]
    """
    steps = integer(steps, "steps", 1, 2**31 - 1)
    for step in range(steps):
        start, stop = step * num_rows // steps, (step + 1) * num_rows // steps
        if start < stop:
            yield slice(start, stop), (stop - start) / num_rows
