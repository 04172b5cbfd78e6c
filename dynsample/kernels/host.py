"""The kernels on the host: numpy, or torch tensors on the CPU, without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample._core import Stream
from dynsample.kernels.convert import host, like
from dynsample.kernels.grouped import HostGroups
from dynsample.kernels.numbers import reals_on_host
from dynsample.kernels.protocol import Array, Candidates, GroupedRows, Kernels, PassRateCurve, Rates


class Host:
    """Implements `Kernels`. What takes only whole tables or parts of them has numpy alone."""

    on_device = False

    def take(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def copy(self, array: NDArray[Any]) -> NDArray[Any]:
        copy: NDArray[Any] = array.copy()
        return copy

    def fill(self, array: NDArray[Any], values: NDArray[Any]) -> None:
        array[...] = values

    def numpy(self, array: Array) -> NDArray[Any]:
        view: NDArray[Any] = host(array).view()
        view.flags.writeable = False
        return view

    def read_only(self, array: NDArray[Any]) -> NDArray[Any]:
        return self.numpy(array)

    def unsigned(self, array: NDArray[Any]) -> NDArray[Any]:
        return array

    def checked(self, values: object, name: str) -> NDArray[Any]:
        return reals_on_host(values, name)

    def full(self, size: int, value: float) -> NDArray[Any]:
        return np.full(size, value, np.float32)

    def mask(self, size: int, value: bool = False) -> NDArray[Any]:
        return np.full(size, value, np.bool_)

    def no_counts(self, size: int) -> NDArray[Any]:
        return np.zeros(size, np.uint32)

    def chances(self, size: int, where: NDArray[Any] | None) -> NDArray[Any]:
        return self.full(size, 1.0) if where is None else self.floats(where)

    # Elementwise

    def counts(self, *masks: NDArray[Any]) -> list[int]:
        return [int(np.count_nonzero(mask)) for mask in masks]

    def where(
        self, mask: NDArray[Any], inside: NDArray[Any] | float, outside: NDArray[Any] | float
    ) -> NDArray[Any]:
        if isinstance(inside, float) and isinstance(outside, float):
            return _core.choose(mask, inside, outside)
        chosen = [np.float32(x) if isinstance(x, float) else x for x in (inside, outside)]
        return np.where(mask, *chosen)

    def below(self, values: NDArray[Any], bound: float, where: NDArray[Any] | None) -> NDArray[Any]:
        return _core.below(values, bound, where, True)

    def floats(self, array: NDArray[Any]) -> NDArray[Any]:
        return array.astype(np.float32)

    def divide(self, values: NDArray[Any], number: float) -> NDArray[Any]:
        quotient: NDArray[np.float32] = values / np.float32(number)
        return quotient

    def finite(self, values: NDArray[Any]) -> NDArray[Any]:
        mask: NDArray[np.bool_] = np.isfinite(values)
        return mask

    def power(self, values: NDArray[Any], exponent: float) -> NDArray[Any]:
        return like(_core.power(host(values), exponent), values)

    def exp(self, values: NDArray[Any]) -> NDArray[Any]:
        return _core.exp(values)

    def informative(
        self, rates: NDArray[Any], curve: PassRateCurve
    ) -> tuple[NDArray[Any], list[int]]:
        probabilities, *counts = _core.informative(rates, *curve)
        return probabilities, counts

    # Selections and reductions

    def hide_lowest(
        self, values: NDArray[Any], k: int, where: NDArray[Any] | None, *, finite_only: bool
    ) -> NDArray[Any]:
        return like(_core.hide_lowest(host(values), k, host(where), finite_only), values)

    def min_max(
        self, values: NDArray[Any], where: NDArray[Any] | None, *, finite_only: bool
    ) -> tuple[float, float]:
        return _core.min_max(host(values), host(where), finite_only)

    def sum_parts(
        self, values: NDArray[Any], where: NDArray[Any] | None, *, finite_only: bool
    ) -> NDArray[np.int64]:
        return _core.sum_parts(host(values), host(where), finite_only)

    def candidates(
        self, values: NDArray[Any], where: NDArray[Any] | None
    ) -> Candidates[NDArray[Any]]:
        return _core.Candidates(values, where, True)

    def grouped(self, labels: NDArray[np.int32], num_groups: int) -> GroupedRows[NDArray[Any]]:
        return HostGroups(labels, num_groups)

    # Orders

    def mask_ids(self, mask: NDArray[Any], *, invert: bool) -> NDArray[Any]:
        return like(_core.mask_ids(host(mask), invert), mask)

    def order_slice(
        self, ids: NDArray[Any], seed: int, epoch: int, stream: int, start: int, stop: int
    ) -> NDArray[Any]:
        return like(_core.order_slice(host(ids), seed, epoch, stream, start, stop), ids)

    def positions(
        self, num_rows: int, bounds: tuple[int, int], seed: int, epoch: int, stream: int
    ) -> NDArray[Any]:
        return _core.unpermute(num_rows, np.arange(*bounds), seed, epoch, stream)

    def walk(
        self,
        num_rows: int,
        ranges: Sequence[tuple[int, int]],
        seed: int,
        epoch: int,
        stream: int,
    ) -> NDArray[Any]:
        mask = np.zeros(num_rows, np.bool_)
        for start, stop in ranges:
            mask[_core.permute(num_rows, seed, epoch, stream, start, stop)] = True
        return mask

    # Draws

    def survey(self, probabilities: NDArray[Any]) -> tuple[float, int]:
        return _core.survey(host(probabilities))

    def exponent_sums(self, probabilities: NDArray[Any], substitute: float) -> NDArray[np.uint64]:
        return _core.exponent_sums(host(probabilities), substitute)

    def rates(
        self, probabilities: NDArray[Any], sums: NDArray[np.uint64], substitute: float, k: int
    ) -> Rates[NDArray[Any]]:
        return _core.RatesPart(host(probabilities), sums, substitute, k)

    def race(
        self, probabilities: NDArray[Any], first: int, substitute: float, seed: int, epoch: int
    ) -> Candidates[NDArray[Any]]:
        return _core.Candidates(probabilities, first, substitute, seed, epoch)

    def draw_mask(self, probabilities: NDArray[Any], k: int, seed: int, epoch: int) -> NDArray[Any]:
        return like(_core.draw_mask(host(probabilities), k, seed, epoch), probabilities)

    def sample(
        self, size: int, where: NDArray[Any] | None, k: int, seed: int, epoch: int
    ) -> NDArray[Any]:
        return _core.sample_mask(size, where, k, seed, epoch)

    def draw(
        self,
        probabilities: NDArray[Any],
        k: int,
        seed: int,
        epoch: int,
        *,
        replacement: bool,
        multinomial: bool,
    ) -> NDArray[Any]:
        p = host(probabilities)
        if replacement:
            return like(_core.draw(p, k, seed, epoch, multinomial), probabilities)
        rows = _core.mask_ids(_core.draw_mask(p, k, seed, epoch), False)
        order = _core.order_slice(rows, seed, epoch, Stream.DRAW_ORDER, 0, len(rows))
        return like(order, probabilities)

    def cdf_counts(
        self, values: NDArray[Any], where: NDArray[Any] | None, low: float, high: float
    ) -> NDArray[np.uint64]:
        return _core.cdf_counts(host(values), host(where), low, high)

    def cdf_keep(
        self,
        values: NDArray[Any],
        where: NDArray[Any] | None,
        low: float,
        high: float,
        counts: NDArray[np.uint64],
        beta: float,
        seed: int,
        epoch: int,
        first: int,
    ) -> NDArray[Any]:
        key = seed, epoch, first
        kept = _core.cdf_keep(host(values), host(where), low, high, counts, beta, *key)
        return like(kept, values)


HOST: Kernels[NDArray[Any]] = Host()
