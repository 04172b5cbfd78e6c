"""Rows in groups, on the host: parts of reductions within each group."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels.convert import host
from dynsample.kernels.protocol import GroupCandidates


class HostGroups:
    """Implements `GroupedRows` for numpy arrays.

    Parameters
    ----------
    labels : int32[N]
    num_groups : int
    """

    def __init__(self, labels: NDArray[np.int32], num_groups: int) -> None:
        self._labels, self._of = labels, (labels, num_groups)

    def count(self, mask: NDArray[Any] | None) -> NDArray[np.int64]:
        return _core.counts_by_group(host(mask), *self._of)

    def sum_parts(self, values: NDArray[Any], where: NDArray[Any] | None) -> NDArray[np.int64]:
        return _core.sum_parts_by_group(host(values), host(where), *self._of)

    def candidates(
        self, values: NDArray[Any], where: NDArray[Any] | None
    ) -> GroupCandidates[NDArray[Any]]:
        return _core.GroupCandidates(host(values), host(where), *self._of)

    def race(
        self, probabilities: NDArray[Any], first: int, substitute: float, seed: int, epoch: int
    ) -> GroupCandidates[NDArray[Any]]:
        key = first, substitute, seed, epoch
        return _core.GroupCandidates(host(probabilities), *key, *self._of)

    def spread(self, numbers: NDArray[np.float32]) -> NDArray[Any]:
        return numbers[self._labels]
