"""`dynsample.ops` with the kernels of a device, also where its tensors are on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

from dynsample import kernels, ops
from dynsample.kernels.cuda import Device
from dynsample.kernels.cuda.backend import OnDevice

ON_DEVICE = [
    "bernoulli_cdf", "draw", "draw_counts", "draw_mask", "exact_mean", "hide_lowest",
    "inverse_probabilities", "mask_ids", "min_max", "order_slice", "power",
]  # fmt: skip


def ops_on(device: Device) -> SimpleNamespace:
    """What `dynsample.ops` does with tensors of a device."""

    def on_device(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with mock.patch.object(kernels, "of", return_value=OnDevice(device)):
                return function(*arguments, **options)

        return call

    return SimpleNamespace(**{name: on_device(getattr(ops, name)) for name in ON_DEVICE})
