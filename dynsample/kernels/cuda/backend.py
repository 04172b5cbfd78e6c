"""The kernels on a device: the same methods for tensors, with the same results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsample import _core
from dynsample._core import Stream
from dynsample.kernels.convert import as_tensor, is_tensor
from dynsample.kernels.cuda import coins, draw, grouped, order, select
from dynsample.kernels.cuda.device import Device
from dynsample.kernels.numbers import reals, reals_on_host
from dynsample.kernels.protocol import PassRateCurve
from dynsample.kernels.whole import check_enough, counts_of, stand_in

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


class OnDevice:
    """Implements `Kernels` for the tensors of one device.

    Parameters
    ----------
    device : Device
    """

    on_device = True

    def __init__(self, device: Device) -> None:
        self.device = device

    def take(self, array: NDArray[Any]) -> torch.Tensor:
        return self.device.put(array)

    def copy(self, array: torch.Tensor) -> torch.Tensor:
        return array.clone()

    def fill(self, array: torch.Tensor, values: NDArray[Any]) -> None:
        array.copy_(self.device.put(values))

    def numpy(self, array: torch.Tensor) -> NDArray[Any]:
        """Copy to the host; counts, of 32 bits, become unsigned, as they are there."""
        copy: NDArray[Any] = array.detach().cpu().numpy()
        return copy.view(np.uint32) if copy.dtype == np.int32 else copy

    def read_only(self, array: torch.Tensor) -> torch.Tensor:
        """Return the tensor itself: torch cannot protect it."""
        return array

    def unsigned(self, array: torch.Tensor) -> torch.Tensor:
        import torch

        return array.view(torch.uint32)

    def checked(self, values: object, name: str) -> torch.Tensor:
        if not is_tensor(values) or values.device != self.device.torch_device:
            return self.device.put(reals_on_host(values, name))
        return as_tensor(reals(values, name))

    def full(self, size: int, value: float) -> torch.Tensor:
        return self.device.full(size, value)

    def mask(self, size: int, value: bool = False) -> torch.Tensor:
        return self.device.full(size, value)

    def no_counts(self, size: int) -> torch.Tensor:
        return self.device.full(size, 0)

    def chances(self, size: int, where: torch.Tensor | None) -> torch.Tensor:
        return self.full(size, 1.0) if where is None else self.floats(where)

    # Elementwise

    def counts(self, *masks: torch.Tensor) -> list[int]:
        """Count the rows that are set in each mask; waits once."""
        import torch

        numbers: list[int] = torch.stack([mask.count_nonzero() for mask in masks]).tolist()
        return numbers

    def where(
        self, mask: torch.Tensor, inside: torch.Tensor | float, outside: torch.Tensor | float
    ) -> torch.Tensor:
        import torch

        one, other = (
            self.device.full(1, x) if isinstance(x, float) else x for x in (inside, outside)
        )
        return torch.where(mask, one, other)

    def below(self, values: torch.Tensor, bound: float, where: torch.Tensor | None) -> torch.Tensor:
        mask = (values < bound) & (values > -np.inf)
        return mask if where is None else mask & where

    def floats(self, array: torch.Tensor) -> torch.Tensor:
        return array.float()

    def divide(self, values: torch.Tensor, number: float) -> torch.Tensor:
        """Divide by a tensor of one number: a number itself would become its reciprocal."""
        return values / self.device.full(1, number)

    def finite(self, values: torch.Tensor) -> torch.Tensor:
        return values.isfinite()

    def power(self, values: torch.Tensor, exponent: float) -> torch.Tensor:
        return coins.power(values, exponent)

    def exp(self, values: torch.Tensor) -> torch.Tensor:
        return coins.exp(values)

    def informative(
        self, rates: torch.Tensor, curve: PassRateCurve
    ) -> tuple[torch.Tensor, list[int]]:
        best, known = 0.25, (rates >= 0) & (rates <= 1)
        probabilities = rates * (1.0 - rates)
        if curve.gaussian:
            far = self.divide(rates - curve.target, curve.width)
            best, probabilities = 1.0, self.exp(far * far * -0.5)
        probabilities = self.where(known, probabilities, best) + curve.eps
        retired = known & (rates >= curve.retire)
        probabilities = self.where(retired, 0.0, probabilities)
        return probabilities, self.counts(rates.isfinite() & ~known, retired, probabilities > 0)

    # Selections and reductions

    def hide_lowest(
        self, values: torch.Tensor, k: int, where: torch.Tensor | None, *, finite_only: bool
    ) -> torch.Tensor:
        return select.hide_lowest(values, k, where, finite_only=finite_only)

    def min_max(
        self, values: torch.Tensor, where: torch.Tensor | None, *, finite_only: bool
    ) -> tuple[float, float]:
        return select.min_max(values, where, finite_only=finite_only)

    def sum_parts(
        self, values: torch.Tensor, where: torch.Tensor | None, *, finite_only: bool
    ) -> NDArray[np.int64]:
        return select.sum_parts(values, where, finite_only=finite_only)

    def candidates(self, values: torch.Tensor, where: torch.Tensor | None) -> select.Candidates:
        return select.Candidates(values, where, True)

    def grouped(self, labels: NDArray[np.int32], num_groups: int) -> grouped.DeviceGroups:
        return grouped.DeviceGroups(self.device, labels, num_groups)

    # Orders

    def mask_ids(self, mask: torch.Tensor, *, invert: bool) -> torch.Tensor:
        return order.mask_ids(mask, invert=invert)

    def order_slice(
        self, ids: torch.Tensor, seed: int, epoch: int, stream: int, start: int, stop: int
    ) -> torch.Tensor:
        key = {"seed": seed, "epoch": epoch, "stream": stream, "start": start, "stop": stop}
        return order.order_slice(self.device, len(ids), ids, **key).long() & 0xFFFFFFFF

    def positions(
        self, num_rows: int, bounds: tuple[int, int], seed: int, epoch: int, stream: int
    ) -> torch.Tensor:
        """Work them out on the host: no kernel of the device takes a permutation back."""
        rows = np.arange(*bounds)
        return self.device.put(_core.unpermute(num_rows, rows, seed, epoch, stream))

    def walk(
        self,
        num_rows: int,
        ranges: Sequence[tuple[int, int]],
        seed: int,
        epoch: int,
        stream: int,
    ) -> torch.Tensor:
        mask = self.mask(num_rows)
        for start, stop in ranges:
            order.mark_slice(mask, seed=seed, epoch=epoch, stream=stream, start=start, stop=stop)
        return mask

    # Draws

    def survey(self, probabilities: torch.Tensor) -> tuple[float, int]:
        return draw.survey(probabilities)

    def exponent_sums(self, probabilities: torch.Tensor, substitute: float) -> NDArray[np.uint64]:
        return draw.exponent_sums(probabilities, substitute)

    def rates(
        self, probabilities: torch.Tensor, sums: NDArray[np.uint64], substitute: float, k: int
    ) -> draw.RatesPart:
        return draw.RatesPart(probabilities, sums, substitute, k)

    def race(
        self, probabilities: torch.Tensor, first: int, substitute: float, seed: int, epoch: int
    ) -> select.Candidates:
        keys = draw.race_keys(probabilities, first, substitute, seed, epoch)
        return select.Candidates.of_keys(keys)

    def draw_mask(self, probabilities: torch.Tensor, k: int, seed: int, epoch: int) -> torch.Tensor:
        largest, positive = draw.survey(probabilities)
        check_enough(k, positive)
        keys = draw.race_keys(probabilities, 0, stand_in(largest), seed, epoch)
        return select.lowest_keys(keys, k)

    def sample(
        self, size: int, where: torch.Tensor | None, k: int, seed: int, epoch: int
    ) -> torch.Tensor:
        return self.draw_mask(self.chances(size, where), k, seed, epoch)

    def draw(
        self,
        probabilities: torch.Tensor,
        k: int,
        seed: int,
        epoch: int,
        *,
        replacement: bool,
        multinomial: bool,
    ) -> torch.Tensor:
        if replacement:
            counts = counts_of(self, probabilities, k, seed, epoch, multinomial=multinomial)
            rows = order.repeat_rows(counts, k)
        else:
            rows = order.mask_ids(self.draw_mask(probabilities, k, seed, epoch))
        return self.order_slice(rows, seed, epoch, Stream.DRAW_ORDER, 0, len(rows))

    def cdf_counts(
        self, values: torch.Tensor, where: torch.Tensor | None, low: float, high: float
    ) -> NDArray[np.uint64]:
        return coins.cdf_counts(values, where, low, high)

    def cdf_keep(
        self,
        values: torch.Tensor,
        where: torch.Tensor | None,
        low: float,
        high: float,
        counts: NDArray[np.uint64],
        beta: float,
        seed: int,
        epoch: int,
        first: int,
    ) -> torch.Tensor:
        return coins.cdf_keep(values, where, low, high, counts, beta, seed, epoch, first)
