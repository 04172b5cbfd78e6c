"""What `dynsample.ops` does with tensors on a GPU: the same functions with the same results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynsample._core import Stream
from dynsample.kernels.checks import MAX_SAMPLES
from dynsample.kernels.cuda import draw as draws
from dynsample.kernels.cuda import order, select
from dynsample.kernels.cuda.coins import bernoulli_cdf, power
from dynsample.kernels.cuda.device import device_of
from dynsample.kernels.cuda.draw import inverse_probabilities
from dynsample.kernels.cuda.select import exact_mean, hide_lowest, min_max
from dynsample.ops.draw import checked_draw, is_multinomial
from dynsample.ops.permute import checked_slice

if TYPE_CHECKING:
    import torch

__all__ = [
    "bernoulli_cdf", "draw", "draw_counts", "draw_mask", "exact_mean", "hide_lowest",
    "inverse_probabilities", "mask_ids", "min_max", "order_slice", "power",
]  # fmt: skip


def mask_ids(mask: torch.Tensor, *, invert: bool = False) -> torch.Tensor:
    """Ascending ids of the rows that are set, or are not: uint32[count]."""
    import torch

    return order.mask_ids(mask, invert=invert).view(torch.uint32)


def order_slice(
    ids: torch.Tensor,
    *,
    seed: int,
    epoch: int,
    start: int = 0,
    stop: int | None = None,
    stream: int = Stream.ORDER,
) -> torch.Tensor:
    """Take `ids[permute(len(ids), ...)]`: int64[stop - start]."""
    rows, key = checked_slice(ids, seed, epoch, start, stop, stream)
    return order.order_slice(device_of(rows), len(rows), rows, **key).long() & 0xFFFFFFFF


def draw_counts(
    probabilities: torch.Tensor, k: int, *, seed: int, epoch: int, method: str = "systematic"
) -> torch.Tensor:
    """Count how often each row is drawn in k draws with replacement: uint32[N]."""
    import torch

    counts = draws.draw_counts(probabilities, k, seed=seed, epoch=epoch, method=method)
    return counts.view(torch.uint32)


def draw_mask(probabilities: torch.Tensor, k: int, *, seed: int, epoch: int) -> torch.Tensor:
    """Mark k rows drawn without replacement: bool[N]."""
    p, k, seed, epoch = checked_draw(probabilities, k, seed, epoch, MAX_SAMPLES)
    largest, positive = draws.survey(p)
    if k > positive:
        raise ValueError(
            f"k must be at most the number of positive probabilities, {positive}, got {k}"
        )
    return select.lowest_keys(draws.race_keys(p, 0, largest or 1.0, seed, epoch), k)


def draw(
    probabilities: torch.Tensor,
    k: int,
    *,
    replacement: bool,
    seed: int,
    epoch: int,
    method: str = "systematic",
) -> torch.Tensor:
    """Draw k rows, in random order: int64[k]."""
    is_multinomial(method)
    if replacement:
        counts = draw_counts(probabilities, k, seed=seed, epoch=epoch, method=method)
        rows = order.repeat_rows(counts, k)
    else:
        rows = order.mask_ids(draw_mask(probabilities, k, seed=seed, epoch=epoch))
    key = {"seed": int(seed), "epoch": int(epoch), "stream": Stream.DRAW_ORDER}
    return order.order_slice(device_of(rows), len(rows), rows, **key).long() & 0xFFFFFFFF
