"""Selections, exact sums and extremes of score columns on a device, as those of `dynsample.ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels.arguments import checked_rows, checked_selection
from dynsample.kernels.checks import integer
from dynsample.kernels.convert import column
from dynsample.kernels.cuda.device import device_of

if TYPE_CHECKING:
    import torch


class _Rows:
    """Checked rows: float32[N] with an optional bool[N] mask, or ready keys, int32[N]."""

    def __init__(
        self,
        values: torch.Tensor | None,
        where: torch.Tensor | None = None,
        finite_only: bool = False,
        keys: torch.Tensor | None = None,
    ) -> None:
        self._kept = values, where, keys  # the rows hold their addresses
        rows = values if keys is None else keys
        assert rows is not None
        self.device = device_of(rows)
        self.size = len(rows)
        if self.size >= 2**32:
            raise ValueError(f"arrays must have at most {2**32 - 1} rows, got {self.size}")
        self.native = self.device.call(
            self.device.kernels.rows, values, where, finite_only, self.size, keys
        )

    def words(self) -> torch.Tensor:
        """Allocate a mask, which kernels write in words of four bytes."""
        import torch

        return self.device.empty((self.size + 3) // 4 * 4, torch.bool)

    def lowest(self, k: int) -> torch.Tensor:
        """Mark the `k` lowest: bool[N]."""
        words = self.words()
        self.device.call_with_scratch(self.device.kernels.hide_lowest, self.native, k, words)
        return words[: self.size]


def hide_lowest(
    scores: torch.Tensor, k: int, eligible: torch.Tensor | None = None, *, finite_only: bool = False
) -> torch.Tensor:
    """Mark the `k` lowest of float32[N] `scores`, as `dynsample.ops.hide_lowest`: bool[N]."""
    values, count, where = checked_selection(scores, k, eligible)
    return _Rows(values, where, finite_only).lowest(count)


def lowest_keys(keys: torch.Tensor, k: int) -> torch.Tensor:
    """Mark the `k` lowest of int32[N] `keys`, unsigned by their bits; -1 is left out: bool[N]."""
    rows = column(keys, "keys", np.int32)
    return _Rows(None, keys=rows).lowest(integer(k, "k", 0, len(rows)))


def sum_parts(
    values: torch.Tensor, where: torch.Tensor | None = None, *, finite_only: bool = False
) -> NDArray[np.int64]:
    """Integers that make up the exact sum, to add to those of other ranks; int64[M]."""
    import torch

    rows = _Rows(*checked_rows(values, where), finite_only)
    size = len(_core.sum_parts(np.zeros(0, np.float32), None, False))
    parts = rows.device.empty(size, torch.int64)
    rows.device.call(rows.device.kernels.exact_sum, rows.native, parts)
    result: NDArray[np.int64] = parts.cpu().numpy()
    return result


def min_max(
    values: torch.Tensor, where: torch.Tensor | None = None, *, finite_only: bool = False
) -> tuple[float, float]:
    """Lowest and highest value, as `dynsample.ops.min_max`; NaN when no row takes part."""
    rows = _Rows(*checked_rows(values, where), finite_only)
    return rows.device.call_with_scratch(rows.device.kernels.min_max, rows.native)


class Candidates:
    """Rows of this rank that a selection over all ranks is among, as those of `dynsample._core`.

    Parameters
    ----------
    values : float32[N]
    where : bool[N] or None
        Rows that take part.
    finite_only : bool
        Leave NaN and infinities out.
    """

    def __init__(self, values: torch.Tensor, where: torch.Tensor | None, finite_only: bool) -> None:
        self._rows = _Rows(*checked_rows(values, where), finite_only)
        self._key, self._equal = 0, 0

    @classmethod
    def of_keys(cls, keys: torch.Tensor) -> Candidates:
        """Candidates with ready keys, int32[N], unsigned by their bits; -1 takes no part."""
        self = cls.__new__(cls)
        self._rows = _Rows(None, keys=column(keys, "keys", np.int32))
        self._key, self._equal = 0, 0
        return self

    def count(self) -> int:
        """Count the rows that take part."""
        return self._tally(2**32 - 1)[0]

    def _tally(self, key: int) -> tuple[int, int]:
        device = self._rows.device
        return device.call_with_scratch(device.kernels.tally, self._rows.native, key)

    def histogram(self, prefix: int | None = None) -> NDArray[np.uint32]:
        """Count upper halves of keys, or the lower ones of those with the upper half `prefix`.

        uint32[65536]; rows that take no part have the key 2**32 - 1.
        """
        import torch

        rows, device = self._rows.native, self._rows.device
        counts = device.empty(1 << 16, torch.int32)
        upper = prefix is None
        device.call(
            device.kernels.key_histogram, rows, upper, 0 if prefix is None else prefix, counts
        )
        result: NDArray[np.uint32] = counts.cpu().numpy().view(np.uint32)
        return result

    def tally(self, key: int) -> tuple[int, int]:
        """Count the rows with a key below `key`, and equal to it."""
        below, equal = self._tally(key)
        self._key, self._equal = key, equal
        return below, equal

    def mark(self, ties: int) -> torch.Tensor:
        """Mark the rows below the key of the last tally and the first `ties` equal to it: bool[N].

        No ties may be asked for of the key of rows that take no part.
        """
        rows, device, words = self._rows, self._rows.device, self._rows.words()
        device.call_with_scratch(
            device.kernels.mark_below, rows.native, self._key, self._equal, ties, words
        )
        return words[: rows.size]
