"""Rows in groups, on a device: torch's operations on the keys and labels, all on integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels.cuda import draw
from dynsample.kernels.cuda.device import Device

if TYPE_CHECKING:
    import torch

_DIGITS = 1 << _core.GROUP_DIGIT_BITS
_NOT_ELIGIBLE = 0xFFFFFFFF  # kNotEligibleKey


class DeviceGroups:
    """Implements `GroupedRows` for the tensors of one device.

    Parameters
    ----------
    device : Device
    labels : int32[N]
    num_groups : int
    """

    def __init__(self, device: Device, labels: NDArray[np.int32], num_groups: int) -> None:
        self._device, self._labels = device, device.put(labels).long()
        self._num_groups = num_groups

    def count(self, mask: torch.Tensor | None) -> NDArray[np.int64]:
        return self._counts(self._labels if mask is None else self._labels[mask], self._num_groups)

    @staticmethod
    def _counts(places: torch.Tensor, size: int) -> NDArray[np.int64]:
        counts: NDArray[np.int64] = places.bincount(minlength=size).cpu().numpy()
        return counts

    def sum_parts(self, values: torch.Tensor, where: torch.Tensor | None) -> NDArray[np.int64]:
        """Add as `core/by_group.cpp` does: by exponent, in integers of which nothing is lost."""
        import torch

        part = values.isfinite() if where is None else values.isfinite() & where
        bits = values[part].view(torch.int32).long() & 0xFFFFFFFF
        field = bits >> 23 & 0xFF
        normal = (field > 0).long()
        exponent = field + 1 - normal + _core.SUM_WINDOW_OFFSET
        term = (bits & 0x7FFFFF | normal << 23) << (exponent & 31)
        term = torch.where(bits >> 31 > 0, -term, term)
        windows, width = _core.SUM_WINDOWS, _core.SUM_INTEGERS
        place = self._labels[part] * width + (exponent >> 5)
        sums = self._device.zeros(self._num_groups * width, torch.int64)
        sums.index_add_(0, place, term >> 32)
        sums.index_add_(0, place + windows, term & 0xFFFFFFFF)
        sums.index_add_(0, self._labels[part] * width + 2 * windows, torch.ones_like(term))
        parts: NDArray[np.int64] = sums.cpu().numpy().reshape(self._num_groups, width)
        return parts

    def candidates(self, values: torch.Tensor, where: torch.Tensor | None) -> DeviceGroupCandidates:
        import torch

        part = values.isfinite() if where is None else values.isfinite() & where
        bits = values.view(torch.int32).long()
        magnitude = bits & 0x7FFFFFFF
        keys = 0x80000000 + torch.where(bits < 0, -magnitude, magnitude)
        return self._of(torch.where(part, keys, _NOT_ELIGIBLE))

    def race(
        self, probabilities: torch.Tensor, first: int, substitute: float, seed: int, epoch: int
    ) -> DeviceGroupCandidates:
        keys = draw.race_keys(probabilities, first, substitute, seed, epoch)
        return self._of(keys.long() & 0xFFFFFFFF)

    def _of(self, keys: torch.Tensor) -> DeviceGroupCandidates:
        return DeviceGroupCandidates(self._device, keys, self._labels, self._num_groups)

    def spread(self, numbers: NDArray[np.float32]) -> torch.Tensor:
        return self._device.put(numbers)[self._labels]


class DeviceGroupCandidates:
    """Implements `GroupCandidates`: keys and labels, int64[N]."""

    def __init__(
        self, device: Device, keys: torch.Tensor, labels: torch.Tensor, num_groups: int
    ) -> None:
        self._device, self._keys, self._labels = device, keys, labels
        self._num_groups = num_groups

    def _put(self, numbers: NDArray[np.uint32]) -> torch.Tensor:
        return self._device.put(numbers.astype(np.int64))

    def digits(self, round: int, prefixes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        shift = 32 - _core.GROUP_DIGIT_BITS * (round + 1)
        if round == 0:
            inside = self._keys != _NOT_ELIGIBLE
        else:
            inside = (
                self._keys >> (shift + _core.GROUP_DIGIT_BITS) == self._put(prefixes)[self._labels]
            )
        digit = self._keys >> shift & (_DIGITS - 1)
        places = (self._labels * _DIGITS + digit)[inside]
        counts = places.bincount(minlength=self._num_groups * _DIGITS).cpu().numpy()
        found: NDArray[np.uint32] = counts.astype(np.uint32).reshape(self._num_groups, _DIGITS)
        return found

    def mark(
        self, below: NDArray[np.uint32], equal: NDArray[np.uint32], ties: NDArray[np.uint32]
    ) -> torch.Tensor:
        marked: torch.Tensor = self._keys < self._put(below)[self._labels]
        if ties.any():
            left = self._put(ties)
            tied = (self._keys == self._put(equal)[self._labels]) & (left[self._labels] > 0)
            rows = tied.nonzero()[:, 0]
            of = self._labels[rows]
            order = of.argsort(stable=True)  # by group, and within it by row
            sizes = of.bincount(minlength=self._num_groups)
            starts = sizes.cumsum(0) - sizes
            place = self._device.put(np.arange(len(rows))) - starts[of[order]]
            marked[rows[order[place < left[of[order]]]]] = True
        return marked
