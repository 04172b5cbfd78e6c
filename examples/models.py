"""The networks of the examples: any callable by its dotted path, or a small one."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn


def make(path: str | None, num_classes: int, channels: int, seed: int, **options: Any) -> nn.Module:
    """Make a network.

    Parameters
    ----------
    path : str, optional
        `package.module.callable`, which is called with `num_classes=`: torchvision.models.resnet50
        or timm.models.deit_tiny_patch16_224. By default a small network for small images.
    num_classes, channels : int
    seed : int
        Of the weights; torch's own generator is left as it was.
    **options
        Further arguments of the callable.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if path is None:
            return small(num_classes, channels)
        module, _, name = path.replace(":", ".").rpartition(".")
        try:
            call = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise SystemExit(
                f"--model must be the path of a callable, got {path}: {error}"
            ) from None
        made: nn.Module = call(num_classes=num_classes, **options)
        return made


def small(num_classes: int, channels: int = 3) -> nn.Module:
    """Three convolutions without batch statistics, for images from 8 x 8 on."""
    layers: list[nn.Module] = []
    widths = (channels, 16, 32, 64)
    for before, after, stride in zip(widths, widths[1:], (1, 2, 2), strict=False):
        layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False)]
        layers += [nn.GroupNorm(after // 8, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, num_classes))
