"""Draws on a device: what `dynsample.ops` gives, and the parts that `dynsample._core` has."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels.convert import column
from dynsample.kernels.cuda.device import Device, device_of

if TYPE_CHECKING:
    import torch


def refuse_negative(name: str, values: torch.Tensor, row: int | None) -> None:
    """Raise for the first negative row, if there is one."""
    if row is not None:
        raise ValueError(f"{name} must not be negative, got {float(values[row]):g} at {row}")


def survey(probabilities: torch.Tensor) -> tuple[float, int]:
    """Return the largest finite probability, 0 if there is none, and how many are positive."""
    p = column(probabilities, "probabilities", np.float32)
    device = device_of(p)
    largest, positive, negative = device.call_with_scratch(device.kernels.survey, p, len(p))
    refuse_negative("probabilities", p, negative)
    return largest, positive


def exponent_sums(probabilities: torch.Tensor, substitute: float) -> NDArray[np.uint64]:
    """Sum the probabilities as integers, by exponent: uint64[256]."""
    import torch

    p = column(probabilities, "probabilities", np.float32)
    device = device_of(p)
    sums = device.zeros(256, torch.int64)
    device.call(device.kernels.exponent_sums, p, len(p), substitute, sums)
    found: NDArray[np.uint64] = sums.cpu().numpy().view(np.uint64)
    return found


def race_keys(
    probabilities: torch.Tensor, first: int, substitute: float, seed: int, epoch: int
) -> torch.Tensor:
    """Keys of the rows first, ..., whose lowest are drawn without replacement: int32[N]."""
    import torch

    if first % 4:
        raise ValueError("first must be a multiple of 4")
    p = column(probabilities, "probabilities", np.float32)
    device = device_of(p)
    keys = device.empty(len(p), torch.int32)
    device.call(device.kernels.race_keys, p, len(p), first, substitute, seed, epoch, keys)
    return keys


class RatesPart:
    """The rates of a part of the rows, as their cumulative sums.

    Parameters
    ----------
    probabilities : float32[N]
        Probabilities of the rows of the part.
    sums : uint64[256]
        The `exponent_sums` of all rows.
    substitute : float
        What stands for probabilities that are not finite.
    k : int
        Draws.
    """

    def __init__(
        self, probabilities: torch.Tensor, sums: NDArray[np.uint64], substitute: float, k: int
    ) -> None:
        import torch

        p = column(probabilities, "probabilities", np.float32)
        scale = _core.rate_scale(sums, substitute, k)
        self._device = device_of(p)
        self._until = self._device.empty(len(p), torch.int64)
        self._device.call_with_scratch(
            self._device.kernels.cumulative_rates, p, len(p), substitute, scale, self._until
        )

    def __len__(self) -> int:
        return len(self._until)

    @cached_property
    def total(self) -> int:
        """Sum of the rates."""
        return int(self._until[-1]) % 2**64 if len(self) else 0

    def systematic(self, before: int, total: int, k: int, seed: int, epoch: int) -> torch.Tensor:
        """How often each row is drawn, int32[N], when the rows before have so much of the total."""
        import torch

        counts = self._device.empty(len(self), torch.int32)
        self._device.call(
            self._device.kernels.systematic_counts,
            self._until,
            len(self),
            before,
            total,
            k,
            seed,
            epoch,
            counts,
        )
        return counts

    def multinomial(self, k: int, seed: int, epoch: int) -> torch.Tensor:
        """How often each row is drawn, int32[N], when the part is all rows."""
        import torch

        counts = self._device.zeros(len(self), torch.int32)
        self._device.call(
            self._device.kernels.multinomial_counts,
            self._until,
            len(self),
            self.total,
            k,
            seed,
            epoch,
            counts,
        )
        return counts

    def count(self, before: int, points: NDArray[np.uint64]) -> torch.Tensor:
        """How often each row is drawn, int32[N], by the points that lie in this part."""
        import torch

        given = self._device.put(points)
        counts = self._device.zeros(len(self), torch.int32)
        all_here = self._device.call_with_scratch(
            self._device.kernels.count_points,
            self._until,
            len(self),
            before,
            given,
            len(given),
            counts,
        )
        if not all_here:
            raise ValueError("a point is in another part")
        return counts

    def inverse(self, total: int, num_rows: int) -> torch.Tensor:
        """1 / (N p) of every row, float32; `total` and `num_rows` are of all parts."""
        import torch

        weights = self._device.empty(len(self), torch.float32)
        self._device.call(
            self._device.kernels.inverse_probabilities,
            self._until,
            len(self),
            total,
            num_rows,
            weights,
        )
        return weights


def multinomial_points(
    device: Device, total: int, seed: int, epoch: int, first: int, count: int
) -> torch.Tensor:
    """Points of the draws first, ... below the total of the rates: int64[count]."""
    import torch

    if first % 2:
        raise ValueError("first must be even")
    points = device.empty(count, torch.int64)
    device.call(device.kernels.multinomial_points, total, seed, epoch, first, count, points)
    return points
