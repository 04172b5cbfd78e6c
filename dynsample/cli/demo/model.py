"""A CNN of three convolutions: small enough for a laptop, normalised without batch statistics."""

from __future__ import annotations

import torch
from torch import nn


def small_cnn(side: int, num_classes: int, seed: int) -> nn.Module:
    """Three 3 x 3 convolutions with GroupNorm down to 2 x 2, their mean, and one linear layer.

    For images of `side` x `side`, 8 or 16. GroupNorm has no running statistics: the loss of a
    sample does not depend on its batch.
    """

    def block(channels_in: int, channels_out: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        return [convolution, nn.GroupNorm(channels_out // 8, channels_out), nn.ReLU()]

    with torch.random.fork_rng(devices=[]):  # the caller's generator is not ours to move
        torch.manual_seed(seed)
        return nn.Sequential(
            *block(1, 16, stride=side // 8),
            *block(16, 32, stride=2),
            *block(32, 64, stride=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(64, num_classes),
        )
