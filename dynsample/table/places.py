"""What hangs on where a table is: its log, and the fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels import AnyKernels, Array, Given, Kernels
from dynsample.kernels.convert import host
from dynsample.table.column import Column, Parts
from dynsample.table.log import MAX_BYTES, HostParts, ObservationLog, Portion, fold_portions

if TYPE_CHECKING:
    from dynsample.table.cuda_log import DeviceLog

    Log: TypeAlias = ObservationLog | DeviceLog


def make_log(
    kernels: AnyKernels | Kernels[Array],
    num_samples: int,
    signals: Sequence[str],
    max_bytes: int = MAX_BYTES,
) -> Log:
    """Make a log where the table is."""
    if not kernels.on_device:
        return ObservationLog(num_samples, signals, max_bytes)
    from dynsample.kernels.cuda.backend import OnDevice
    from dynsample.table.cuda_log import DeviceLog

    assert isinstance(kernels, OnDevice)
    return DeviceLog(kernels.device, num_samples, signals, max_bytes)


def append(log: Log, index: Given, signals: Mapping[str, object]) -> None:
    """Append one batch, whole or with an error; on a device this waits for it."""
    if isinstance(log, ObservationLog):
        log.append(index, signals)
        return
    log.reserve(len(log) + len(index))
    log.append(index, signals)
    counts = log.counts()
    if counts.out_of_range:
        raise IndexError(f"index must be in [0, {log.num_ids}), got {counts.first_out_of_range}")
    if counts.not_allowed:
        raise IndexError(f"index must be in the subset, got {counts.first_not_allowed}")


def fold(
    log: Log,
    columns: Mapping[str, Column],
    parts: Mapping[str, Parts],
    seen: Array,
    portions: Sequence[Portion],
) -> None:
    """Apply portions of the closed part of a log to columns; on a device there is one."""
    if isinstance(log, ObservationLog):
        fold_portions(log, columns, cast("HostParts", parts), host(seen), portions)
        return
    from dynsample.table import cuda_fold

    (portion,) = portions
    found = cuda_fold.sorted_log(log, portion.tickets)
    cuda_fold.apply(log, columns, parts, seen, found, portion.epoch, 0)


def check_content(
    state: Mapping[str, NDArray[Any]], columns: Mapping[str, Column], num_rows: int
) -> None:
    """Raise unless what a table's `state` gave has the dtypes and shapes of its columns.

    Raises
    ------
    ValueError, TypeError
    """
    empty = {f"{n}/{p}": array for n, c in columns.items() for p, array in c.allocate(0).items()}
    empty["seen"] = empty["known"] = np.zeros(0, np.bool_)
    for name, array in state.items():
        like, shape = empty[name], (num_rows, *empty[name].shape[1:])
        if array.dtype != like.dtype:
            raise TypeError(f"{name} must have dtype {like.dtype}, got {array.dtype}")
        if array.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
