"""What `dynsample.ops` does with tensors on a GPU: the same functions with the same results."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dynsample._checks import MAX_SAMPLES, integer, random_key
from dynsample._ops_draw import MAX_DRAWS, STREAM_DRAW_ORDER, is_multinomial
from dynsample.device import bernoulli, order, select
from dynsample.device import draw as draws
from dynsample.device.arguments import column, rows_of
from dynsample.device.kernels import device_of

if TYPE_CHECKING:
    import torch

__all__ = [
    "bernoulli_cdf", "draw", "draw_counts", "draw_mask", "exact_mean", "hide_lowest",
    "inverse_probabilities", "mask_ids", "min_max", "order_slice", "power",
]  # fmt: skip


def hide_lowest(
    scores: torch.Tensor, k: int, eligible: torch.Tensor | None = None, *, finite_only: bool = False
) -> torch.Tensor:
    """Mark the k lowest scores: bool[N]."""
    return select.hide_lowest(scores, k, eligible, finite_only=finite_only)


def exact_mean(
    values: torch.Tensor, where: torch.Tensor | None = None, *, finite_only: bool = False
) -> float:
    """Mean from the exact sum."""
    return select.exact_mean(values, where, finite_only=finite_only)


def min_max(
    values: torch.Tensor, where: torch.Tensor | None = None, *, finite_only: bool = False
) -> tuple[float, float]:
    """Lowest and highest value."""
    return select.min_max(values, where, finite_only=finite_only)


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
    stream: int = 0,
) -> torch.Tensor:
    """Take `ids[permute(len(ids), ...)]`: int64[stop - start]."""
    import torch

    array = column(ids, "ids", torch.uint32)
    seed, epoch, stream = random_key(seed, epoch, stream)
    end = len(array) if stop is None else integer(stop, "stop", 0, len(array))
    first = integer(start, "start", 0, end)
    key = {"seed": seed, "epoch": epoch, "start": first, "stop": end, "stream": stream}
    taken = order.order_slice(device_of(array), len(array), array, **key)
    return taken.long() & 0xFFFFFFFF


def draw_counts(
    probabilities: torch.Tensor, k: int, *, seed: int, epoch: int, method: str = "systematic"
) -> torch.Tensor:
    """Count how often each row is drawn in k draws with replacement: uint32[N]."""
    import torch

    k = integer(k, "k", 0, MAX_DRAWS)
    seed, epoch, _ = random_key(seed, epoch)
    counts = draws.draw_counts(probabilities, k, seed=seed, epoch=epoch, method=method)
    return counts.view(torch.uint32)


def draw_mask(probabilities: torch.Tensor, k: int, *, seed: int, epoch: int) -> torch.Tensor:
    """Mark k rows drawn without replacement: bool[N]."""
    k = integer(k, "k", 0, MAX_SAMPLES)
    seed, epoch, _ = random_key(seed, epoch)
    substitute, positive = draws.survey(probabilities)
    if k > positive:
        raise ValueError(
            f"k must be at most the number of positive probabilities, {positive}, got {k}"
        )
    return select.lowest_keys(draws.race_keys(probabilities, 0, substitute, seed, epoch), k)


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
    key = {"seed": int(seed), "epoch": int(epoch), "stream": STREAM_DRAW_ORDER}
    return order.order_slice(device_of(rows), len(rows), rows, **key).long() & 0xFFFFFFFF


def inverse_probabilities(probabilities: torch.Tensor, k: int) -> torch.Tensor:
    """Give 1 / (N p) of every row: float32[N]."""
    return draws.inverse_probabilities(probabilities, integer(k, "k", 0, MAX_DRAWS))


def bernoulli_cdf(
    values: torch.Tensor, beta: float, *, seed: int, epoch: int, where: torch.Tensor | None = None
) -> torch.Tensor:
    """Keep each row with the probability (share of rows at or below its value) ** beta: bool[N]."""
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta must be finite and not negative, got {beta}")
    seed, epoch, _ = random_key(seed, epoch)
    rows = rows_of(where, values)
    low, high = select.min_max(values, rows, finite_only=True)
    beta = float(beta)
    return bernoulli.bernoulli_cdf(values, beta, low, high, seed=seed, epoch=epoch, where=rows)


def power(values: torch.Tensor, exponent: float) -> torch.Tensor:
    """Raise to a power, the same on every machine: float32[N]."""
    if not math.isfinite(exponent):
        raise ValueError(f"exponent must be finite, got {exponent}")
    return bernoulli.power(values, float(exponent))
