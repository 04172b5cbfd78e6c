"""CNNs of a few convolutions: small enough for a laptop, normalised without batch statistics."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def small_cnn(side: int, num_classes: int, seed: int) -> nn.Module:
    """Three 3 x 3 convolutions down to 2 x 2, for images of `side` x `side`, 8 or 16."""
    return _cnn([(16, side // 8, 2), (32, 2, 4), (64, 2, 8)], num_classes, seed)


def fashion_cnn(side: int, num_classes: int, seed: int) -> nn.Module:
    """Four 3 x 3 convolutions down to an eighth of the side, for images of 28 x 28.

    In five epochs as accurate as with the stride of the second after it, for 2.8 times less work.
    """
    return _cnn([(16, 2, 4), (32, 2, 4), (32, 1, 4), (64, 2, 4)], num_classes, seed)


def _cnn(layers: Iterable[tuple[int, int, int]], num_classes: int, seed: int) -> nn.Module:
    """Convolutions of (channels, stride, groups of GroupNorm), their mean, and one linear layer.

    GroupNorm has no running statistics: the loss of a sample does not depend on its batch.
    """
    with torch.random.fork_rng(devices=[]):  # the caller's generator is not ours to move
        torch.manual_seed(seed)
        modules: list[nn.Module] = []
        width = 1
        for channels, stride, groups in layers:
            modules += [
                nn.Conv2d(width, channels, 3, stride, padding=1, bias=False),
                nn.GroupNorm(groups, channels),
                nn.ReLU(),
            ]
            width = channels
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)]
        return nn.Sequential(*modules, *head)
