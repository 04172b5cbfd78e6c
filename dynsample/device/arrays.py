"""The arrays of a table on a GPU, and the kernels that reduce them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsample._arrays import as_numpy, column, is_tensor
from dynsample.arrays import Arrays
from dynsample.columns import Column
from dynsample.device import bernoulli, draw, ops, order, select
from dynsample.device.kernels import Device
from dynsample.log import MAX_BYTES

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


class DeviceArrays(Arrays):
    """Tensors on a device, where `Arrays` has numpy: the same methods with the same results.

    Parameters
    ----------
    device : Device
    """

    on_device = True

    def __init__(self, device: Device) -> None:
        self.device = device

    # Making and moving

    def take(self, array: NDArray[Any]) -> torch.Tensor:
        """Copy a numpy array to the device."""
        return self.device.put(array)

    def copy(self, array: torch.Tensor) -> torch.Tensor:
        """Give a copy."""
        return array.clone()

    def fill(self, array: torch.Tensor, values: NDArray[Any]) -> None:
        """Copy numpy values into a tensor."""
        array.copy_(self.device.put(values))

    def numpy(self, array: torch.Tensor) -> NDArray[Any]:
        """Copy to the host; counts become unsigned, as they are there."""
        copy: NDArray[Any] = array.detach().cpu().numpy()
        return copy.view(f"u{copy.itemsize}") if copy.dtype.kind == "i" else copy

    def read_only(self, array: torch.Tensor) -> torch.Tensor:
        """Give the tensor itself: torch cannot protect it."""
        return array

    def checked(self, values: Any, name: str) -> torch.Tensor:
        """Give one-dimensional float32 values as a tensor on the device."""
        if not is_tensor(values) or values.device != self.device.torch_device:
            return self.device.put(as_numpy(values, name, np.float32))
        return column(values, name, np.float32)

    def full(self, size: int, value: float) -> torch.Tensor:
        """Make float32[size]."""
        return self.device.full(size, value)

    def mask(self, size: int, value: bool = False) -> torch.Tensor:
        """Make bool[size]."""
        return self.device.full(size, value)

    def no_counts(self, size: int) -> torch.Tensor:
        """Make counts of 0, 32 bits each."""
        return self.device.full(size, 0)

    def positions(self, num_samples: int, bounds: tuple[int, int], **key: Any) -> torch.Tensor:
        """Positions of the rows of a range in a permutation of all rows, int64."""
        return self.device.put(super().positions(num_samples, bounds, **key))

    # Observations

    def log(self, num_samples: int, signals: Sequence[str], max_bytes: int = MAX_BYTES) -> Any:
        """Make a log on the device."""
        from dynsample.device.log import DeviceLog

        return DeviceLog(self.device, num_samples, signals, max_bytes)

    def append(self, log: Any, index: Any, signals: Mapping[str, Any]) -> None:
        """Append one batch to a log, whole or with an error: this waits for the device."""
        log.reserve(len(log) + len(index))
        log.append(index, signals)
        counts = log.counts()
        if counts.out_of_range:
            raise IndexError(
                f"index must be in [0, {log.num_ids}), got {counts.first_out_of_range}"
            )
        if counts.not_allowed:
            raise IndexError(f"index must be in the subset, got {counts.first_not_allowed}")

    def fold(
        self,
        log: Any,
        columns: Mapping[str, Column],
        parts: Mapping[str, Any],
        seen: torch.Tensor,
        *,
        epoch: int,
        tickets: NDArray[np.int64] | None,
    ) -> None:
        """Apply a log to columns; see `dynsample.log.fold`."""
        from dynsample.device import fold

        found = fold.sorted_log(log, tickets)
        fold.apply(log, columns, parts, seen, found, epoch, 0)

    # Elementwise

    def counts(self, *masks: torch.Tensor) -> list[int]:
        """Count the rows that are set in each mask; waits once."""
        import torch

        numbers: list[int] = torch.stack([mask.count_nonzero() for mask in masks]).tolist()
        return numbers

    def where(self, mask: torch.Tensor, inside: Any, outside: Any) -> torch.Tensor:
        """Choose by a mask among float32 tensors or numbers."""
        import torch

        one, other = (
            self.device.full(1, x) if isinstance(x, float) else x for x in (inside, outside)
        )
        return torch.where(mask, one, other)

    def below(self, values: torch.Tensor, bound: float, where: torch.Tensor | None) -> torch.Tensor:
        """Mark the finite values that are less than a float32 number."""
        mask = (values < bound) & (values > -np.inf)
        return mask if where is None else mask & where

    def floats(self, array: torch.Tensor) -> torch.Tensor:
        """Convert to float32."""
        return array.float()

    def divide(self, values: torch.Tensor, number: float) -> torch.Tensor:
        """Divide by a tensor of one number: a number itself would become its reciprocal."""
        return values / self.device.full(1, number)

    def finite(self, values: torch.Tensor) -> torch.Tensor:
        """Mark the finite values."""
        return values.isfinite()

    def power(self, values: torch.Tensor, exponent: float) -> torch.Tensor:
        """Raise to a power."""
        return bernoulli.power(values, exponent)

    # Reductions of the rows that are here

    def hide_lowest(self, values: torch.Tensor, k: int, where: Any) -> torch.Tensor:
        """Mark the k lowest finite values."""
        return select.hide_lowest(values, k, where, finite_only=True)

    def min_max(self, values: torch.Tensor, where: Any) -> tuple[float, float]:
        """Extremes of the finite values; NaN without any."""
        return select.min_max(values, where, finite_only=True)

    def sum_parts(self, values: torch.Tensor, where: Any) -> NDArray[np.int64]:
        """Exact sum of the finite values, as integers that add up."""
        return select.sum_parts(values, where, finite_only=True)

    def candidates(self, values: torch.Tensor, where: Any) -> select.Candidates:
        """Finite values to select among by histograms of their keys."""
        return select.Candidates(values, where, True)

    # Draws

    def race(
        self, probabilities: torch.Tensor, first: int, substitute: float, seed: int, epoch: int
    ) -> select.Candidates:
        """Keys of a draw without replacement, to select among as with `candidates`."""
        keys = draw.race_keys(probabilities, first, substitute, seed, epoch)
        return select.Candidates.of_keys(keys)

    def draw_mask(self, probabilities: torch.Tensor, k: int, seed: int, epoch: int) -> torch.Tensor:
        """Draw without replacement from all rows."""
        return ops.draw_mask(probabilities, k, seed=seed, epoch=epoch)

    def sample(
        self, size: int, where: torch.Tensor | None, k: int, seed: int, epoch: int
    ) -> torch.Tensor:
        """Draw without replacement from all rows, or those in `where`, with equal chances."""
        return self.draw_mask(self.chances(size, where), k, seed, epoch)

    def draw_counts(
        self, probabilities: torch.Tensor, k: int, seed: int, epoch: int, method: str
    ) -> torch.Tensor:
        """Draw with replacement from all rows."""
        return draw.draw_counts(probabilities, k, seed=seed, epoch=epoch, method=method)

    def inverse_probabilities(self, probabilities: torch.Tensor, k: int) -> torch.Tensor:
        """1 / (N p) of all rows."""
        return draw.inverse_probabilities(probabilities, k)

    def survey(self, probabilities: torch.Tensor) -> tuple[float, int]:
        """Largest finite probability, 1 if there is none, and how many are positive."""
        return draw.survey(probabilities)

    def exponent_sums(self, probabilities: torch.Tensor, substitute: float) -> NDArray[np.uint64]:
        """Sum of probabilities as integers by exponent."""
        return draw.exponent_sums(probabilities, substitute)

    def rates(
        self, probabilities: torch.Tensor, sums: NDArray[np.uint64], substitute: float, k: int
    ) -> draw.RatesPart:
        """Fixed-point rates of a part of the rows."""
        return draw.RatesPart(probabilities, sums, substitute, k)

    def count_points(
        self, rates: draw.RatesPart, before: int, points: NDArray[np.uint64]
    ) -> torch.Tensor:
        """Count the points of a multinomial draw that are in each row of a part."""
        return rates.count(before, self.device.put(points))

    def cdf_counts(
        self, values: torch.Tensor, where: Any, low: float, high: float
    ) -> NDArray[np.uint64]:
        """Histogram of 1000 bins."""
        return bernoulli.cdf_counts(values, where, low, high)

    def cdf_keep(
        self,
        values: torch.Tensor,
        where: Any,
        low: float,
        high: float,
        counts: NDArray[np.uint64],
        beta: float,
        seed: int,
        epoch: int,
        first: int,
    ) -> torch.Tensor:
        """Toss the coins of `Reductions.cdf_bernoulli` for the rows from `first` on."""
        return bernoulli.cdf_keep(values, where, low, high, counts, beta, seed, epoch, first)

    def walk(self, num_samples: int, ranges: list[tuple[int, int]], **key: Any) -> torch.Tensor:
        """Mark the rows at ranges of positions of a permutation."""
        mask = self.mask(num_samples)
        for start, stop in ranges:
            order.mark_slice(mask, start=start, stop=stop, **key)
        return mask
