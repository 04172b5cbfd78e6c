"""What every sample has of the loss of a batch, and that loss with weights."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import torch

Batch: TypeAlias = Mapping[str, torch.Tensor]  # also what a model returns

IGNORED = -100  # label of what is not predicted


def mean_losses(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Return the mean cross entropy of every sample over what is predicted of it.

    Parameters
    ----------
    logits : [B, C] or [B, T, C]
    labels : int[B] or int[B, T]
        Those that are `IGNORED` do not count; a sample without any other has loss 0.
    smoothing : float in [0, 1]
        Of the labels.

    Returns
    -------
    float32[B]
    """
    if labels.is_floating_point() or logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"logits of shape {list(logits.shape)} and {labels.dtype} labels of shape "
            f"{list(labels.shape)} have no cross entropy: override sample_losses(outputs, inputs)"
        )
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, -2).float(),
        labels.flatten(),
        ignore_index=IGNORED,
        reduction="none",
        label_smoothing=smoothing,
    )
    return losses.view(len(labels), -1).sum(1) / num_items(labels).clamp(min=1)


def num_items(labels: torch.Tensor) -> torch.Tensor:
    """Count what is predicted of every sample, as the trainer does of a batch: int64[B]."""
    return labels.ne(IGNORED).flatten(1).sum(1) if labels.dim() > 1 else labels.ne(IGNORED).long()


def weighted(
    loss: torch.Tensor, losses: torch.Tensor, items: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Return the loss of a batch with every sample's part of it times a weight.

    Parts are as the losses are, times their items; so what the batch was divided by is kept,
    whether that is its own size, all that is accumulated, or all that the ranks have.

    Parameters
    ----------
    loss : 0-d
        Of the batch, without weights.
    losses : float32[B]
        Mean over the items of every sample.
    items : int64[B]
    weights : float32[B]
    """
    parts = losses * items
    scale = (loss.detach() / parts.detach().sum()).nan_to_num(0.0, 0.0, 0.0)  # no part, no weight
    return loss + scale * ((weights - 1) * parts).sum()


@contextmanager
def recorded(model: torch.nn.Module) -> Generator[list[Batch], None, None]:
    """Collect what a model returns inside the block, by call."""
    outputs: list[Batch] = []
    hook = model.register_forward_hook(lambda _model, _inputs, output: outputs.append(output))
    try:
        yield outputs
    finally:
        hook.remove()
