"""How often the host waits for the device, counted where both are the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dynsample as ds
from dynsample.kernels.cuda import Device, select

torch = pytest.importorskip("torch")

from device_runs import outputs  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402

N, BATCH = 3000, 64
TENSOR = torch.Tensor
# What gives the host a number, or takes memory of the host that may change at once.
WAITING = {
    TENSOR.item, TENSOR.tolist, TENSOR.cpu, TENSOR.to, TENSOR.nonzero, TENSOR.__bool__,
    TENSOR.__int__, TENSOR.__float__, TENSOR.__index__, TENSOR.__contains__, TENSOR.masked_select,
    TENSOR.unique, TENSOR.equal, torch.nonzero, torch.equal, torch.masked_select, torch.unique,
}  # fmt: skip


class Waits(TorchFunctionMode):
    """Counts those of torch; those of the kernels are counted there."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self._kernels: Callable[[], int] = device.kernels.waits
        self._begin = self._kernels()
        self._found: list[str] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        by_mask = function is TENSOR.__getitem__ and _is_mask(args[1])
        to_a_dtype = function is TENSOR.to and all(isinstance(x, torch.dtype) for x in args[1:])
        if (function in WAITING and not to_a_dtype) or by_mask:
            self._found.append(function.__name__)
        return function(*args, **(kwargs or {}))

    def count(self) -> int:
        return len(self._found) + self._kernels() - self._begin


def _is_mask(key: Any) -> bool:
    return any(
        isinstance(each, TENSOR) and each.dtype == torch.bool
        for each in (key if isinstance(key, tuple) else (key,))
    )


def observed(sampler: ds.Sampler, device: Device, epoch: int) -> None:
    for batches in (sampler, sampler.hidden):
        for ids in batches:
            there = {name: device.put(value) for name, value in outputs(ids, epoch).items()}
            there["loss"] = there["loss"].nan_to_num(3.0, 3.0)
            sampler.observe(device.put(ids), **there)


@pytest.mark.parametrize(
    ("policy", "most"),
    [
        (ds.Kakurenbo(fraction=0.4, tau=0.4), 6),
        (ds.InfoBatch(ratio=0.5, delta=1.0), 8),
        (ds.ImportanceSampling(), 9),
        (ds.ImportanceSampling(smoothing=0.2), 10),  # the mean as well
    ],
    ids=["kakurenbo", "infobatch", "importance", "smoothed importance"],
)
def test_a_boundary_waits_a_few_times(host: Device, policy: ds.Policy, most: int) -> None:
    sampler = ds.Sampler(N, policy, BATCH, device=host, seed=1, group=None)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        observed(sampler, host, epoch)
    with Waits(host) as waits:
        sampler.set_epoch(2)
    assert sampler.stats["num_positions"] > 0
    assert waits.count() == most


def test_a_step_does_not_wait(host: Device) -> None:
    policy = ds.InfoBatch(ratio=0.5, delta=1.0)
    sampler = ds.Sampler(N, policy, BATCH, device=host, seed=1, group=None)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        observed(sampler, host, epoch)
    sampler.set_epoch(2)
    ids = next(iter(sampler))
    index, loss = host.put(ids), host.put(np.ones(len(ids), np.float32))
    logits, targets = torch.randn(len(ids), 10), torch.zeros(len(ids), dtype=torch.int64)
    sampler.weights(index)  # the first time they are put there
    with Waits(host) as waits:
        sampler.observe(index, loss=loss)
        sampler.observe(index, logits=logits, targets=targets)
        sampler.weights(index)
    assert waits.count() == 0


def test_what_gives_the_host_a_number_is_a_wait(host: Device) -> None:
    with Waits(host) as waits:
        mask = host.put(np.array([True, False]))
        values = host.put(np.array([1.0, 2.0], np.float32))
        begin = waits.count()
        assert float(values.sum()) == 3
        assert int(values[mask].sum()) == 1
        assert values.tolist() == [1, 2]
        assert select.min_max(values) == (1, 2)
    assert (begin, waits.count() - begin) == (2, 5)
