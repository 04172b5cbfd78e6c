"""Orders and ids: what the device gives is what the CPU gives."""

from __future__ import annotations

import numpy as np
import pytest

from dynsample import ops
from dynsample.kernels.cuda import Device, order

KEY = {"seed": 2**63 + 5, "epoch": 7, "stream": 3}


@pytest.mark.parametrize("n", [0, 1, 2, 5, 1000, 70_001])
def test_an_order_is_that_of_the_cpu(device: Device, n: int) -> None:
    ids = np.random.default_rng(n).permutation(n).astype(np.uint32)
    expected = ops.order_slice(ids, **KEY)
    found = order.order_slice(device, n, device.put(ids), **KEY)
    assert found.tolist() == expected.tolist()
    part = order.order_slice(device, n, None, **KEY, start=n // 3, stop=n // 2)
    assert part.tolist() == ops.permute(n, **KEY, start=n // 3, stop=n // 2).tolist()


def test_a_walk_marks_the_rows_of_its_positions(device: Device) -> None:
    mask = device.put(np.zeros(5000, np.bool_))
    order.mark_slice(mask, **KEY, start=17, stop=900)
    expected = np.zeros(5000, np.bool_)
    expected[ops.permute(5000, **KEY, start=17, stop=900)] = True
    assert mask.tolist() == expected.tolist()


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("n", [0, 1, 4097])
def test_ids_of_a_mask_ascend(device: Device, n: int, invert: bool) -> None:
    mask = np.random.default_rng(n).random(n) < 0.3
    found = order.mask_ids(device.put(mask), invert=invert)
    assert found.tolist() == ops.mask_ids(mask, invert=invert).tolist()


def test_rows_come_as_often_as_they_are_counted(device: Device) -> None:
    counts = np.random.default_rng(3).integers(0, 4, 3000).astype(np.uint32)
    found = order.repeat_rows(device.put(counts), int(counts.sum()))
    assert found.tolist() == np.repeat(np.arange(3000), counts).tolist()
