"""What tables do with arrays: here in host memory, with numpy; on a GPU in `dynsample.device`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core, ops
from dynsample._arrays import as_numpy
from dynsample.columns import Column, Parts
from dynsample.log import MAX_BYTES, ObservationLog, fold

Array = Any  # numpy here, a torch tensor on a device


class Arrays:
    """The arrays of a table in host memory, and the kernels that reduce them.

    `dynsample.device.arrays.DeviceArrays` has the same methods for tensors on a GPU, with the same
    results to the last bit.
    """

    on_device = False

    # Making and moving

    def take(self, array: NDArray[Any]) -> Array:
        """Give a numpy array, which nobody else holds, as one of the table's."""
        return array

    def copy(self, array: Array) -> Array:
        """Give a copy."""
        return array.copy()

    def fill(self, array: Array, values: NDArray[Any]) -> None:
        """Copy numpy values into an array."""
        array[...] = values

    def numpy(self, array: Array) -> NDArray[Any]:
        """Give an array as numpy, read only; without a copy where it can."""
        view: NDArray[Any] = array.view()
        view.flags.writeable = False
        return view

    def read_only(self, array: Array) -> Array:
        """Protect an array that users get to see, where that is possible."""
        return self.numpy(array)

    def checked(self, values: Any, name: str) -> Array:
        """Give one-dimensional float32 values as an array of the table's kind."""
        return as_numpy(values, name, np.float32)

    def full(self, size: int, value: float) -> Array:
        """Make float32[size]."""
        return np.full(size, value, np.float32)

    def chances(self, size: int, where: Array | None) -> Array:
        """Make equal probabilities, of all rows or of those in `where`."""
        return self.full(size, 1.0) if where is None else self.floats(where)

    def mask(self, size: int, value: bool = False) -> Array:
        """Make bool[size]."""
        return np.full(size, value, np.bool_)

    def no_counts(self, size: int) -> Array:
        """Make counts of 0, 32 bits each."""
        return np.zeros(size, np.uint32)

    def positions(self, num_samples: int, bounds: tuple[int, int], **key: Any) -> Array:
        """Positions of the rows of a range in a permutation of all rows, int64."""
        return ops.unpermute(num_samples, np.arange(*bounds), **key)

    # Observations

    def log(self, num_samples: int, signals: Sequence[str], max_bytes: int = MAX_BYTES) -> Any:
        """Make a log where the table is."""
        return ObservationLog(num_samples, signals, max_bytes)

    def append(self, log: Any, index: Any, signals: Mapping[str, Any]) -> None:
        """Append one batch to a log, whole or with an error."""
        log.append(index, signals)

    def fold(
        self,
        log: Any,
        columns: Mapping[str, Column],
        parts: Mapping[str, Parts],
        seen: Array,
        *,
        epoch: int,
        tickets: NDArray[np.int64] | None,
    ) -> None:
        """Apply a log to columns; see `dynsample.log.fold`."""
        fold(log, columns, parts, seen, epoch=epoch, tickets=tickets)

    # Elementwise

    def counts(self, *masks: Array) -> list[int]:
        """Count the rows that are set in each mask."""
        return [int(np.count_nonzero(mask)) for mask in masks]

    def where(self, mask: Array, inside: Any, outside: Any) -> Array:
        """Choose by a mask among float32 arrays or numbers."""
        if isinstance(inside, float) and isinstance(outside, float):
            return _core.choose(mask, inside, outside)
        chosen = [np.float32(x) if isinstance(x, float) else x for x in (inside, outside)]
        return np.where(mask, *chosen)

    def below(self, values: Array, bound: float, where: Array | None) -> Array:
        """Mark the finite values that are less than a float32 number."""
        return _core.below(values, bound, where, True)

    def floats(self, array: Array) -> Array:
        """Convert to float32."""
        return array.astype(np.float32)

    def divide(self, values: Array, number: float) -> Array:
        """Divide float32 values by a number that is rounded to float32 first."""
        return values / np.float32(number)

    def finite(self, values: Array) -> Array:
        """Mark the finite values."""
        return np.isfinite(values)

    def power(self, values: Array, exponent: float) -> Array:
        """Raise to a power."""
        return ops.power(values, exponent)

    # Reductions of the rows that are here

    def hide_lowest(self, values: Array, k: int, where: Array | None) -> Array:
        """Mark the k lowest finite values."""
        return ops.hide_lowest(values, k, where, finite_only=True)

    def min_max(self, values: Array, where: Array | None) -> tuple[float, float]:
        """Extremes of the finite values; NaN without any."""
        return ops.min_max(values, where, finite_only=True)

    def sum_parts(self, values: Array, where: Array | None) -> NDArray[np.int64]:
        """Exact sum of the finite values, as integers that add up."""
        return _core.sum_parts(values, where, True)

    def candidates(self, values: Array, where: Array | None) -> Any:
        """Finite values to select among by histograms of their keys; see `_core.Candidates`."""
        return _core.Candidates(values, where, True)

    # Draws

    def race(
        self, probabilities: Array, first: int, substitute: float, seed: int, epoch: int
    ) -> Any:
        """Keys of a draw without replacement, to select among as with `candidates`."""
        return _core.Candidates(probabilities, first, substitute, seed, epoch)

    def draw_mask(self, probabilities: Array, k: int, seed: int, epoch: int) -> Array:
        """Draw without replacement from all rows."""
        return ops.draw_mask(probabilities, k, seed=seed, epoch=epoch)

    def sample(self, size: int, where: Array | None, k: int, seed: int, epoch: int) -> Array:
        """Draw without replacement from all rows, or those in `where`, with equal chances."""
        return _core.sample_mask(size, where, k, seed, epoch)

    def draw_counts(
        self, probabilities: Array, k: int, seed: int, epoch: int, method: str
    ) -> Array:
        """Draw with replacement from all rows."""
        return ops.draw_counts(probabilities, k, seed=seed, epoch=epoch, method=method)

    def inverse_probabilities(self, probabilities: Array, k: int) -> Array:
        """1 / (N p) of all rows."""
        return ops.inverse_probabilities(probabilities, k)

    def survey(self, probabilities: Array) -> tuple[float, int]:
        """Largest finite probability, 1 if there is none, and how many are positive."""
        return _core.survey(probabilities)

    def exponent_sums(self, probabilities: Array, substitute: float) -> NDArray[np.uint64]:
        """Sum of probabilities as integers by exponent."""
        return _core.exponent_sums(probabilities, substitute)

    def rates(
        self, probabilities: Array, sums: NDArray[np.uint64], substitute: float, k: int
    ) -> Any:
        """Fixed-point rates of a part of the rows; see `_core.RatesPart`."""
        return _core.RatesPart(probabilities, sums, substitute, k)

    def count_points(self, rates: Any, before: int, points: NDArray[np.uint64]) -> Array:
        """Count the points of a multinomial draw that are in each row of a part."""
        return rates.count(before, points)

    def cdf_counts(
        self, values: Array, where: Array | None, low: float, high: float
    ) -> NDArray[np.uint64]:
        """Histogram of 1000 bins."""
        return _core.cdf_counts(values, where, low, high)

    def cdf_keep(
        self,
        values: Array,
        where: Array | None,
        low: float,
        high: float,
        counts: NDArray[np.uint64],
        beta: float,
        seed: int,
        epoch: int,
        first: int,
    ) -> Array:
        """Toss the coins of `Reductions.cdf_bernoulli` for the rows from `first` on."""
        return _core.cdf_keep(values, where, low, high, counts, beta, seed, epoch, first)

    def walk(self, num_samples: int, ranges: list[tuple[int, int]], **key: Any) -> Array:
        """Mark the rows at ranges of positions of a permutation."""
        mask = np.zeros(num_samples, np.bool_)
        for start, stop in ranges:
            mask[ops.permute(num_samples, start=start, stop=stop, **key)] = True
        return mask


HOST = Arrays()
