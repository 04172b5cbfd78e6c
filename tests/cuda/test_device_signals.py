"""Signals that the device computes from logits are those of `dynsample.signals`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynsample import signals
from dynsample.kernels.cuda import Device

torch = pytest.importorskip("torch")

from dynsample.table.cuda_log import DeviceLog  # noqa: E402

INF, NAN = float("inf"), float("nan")


def on_device(
    device: Device, logits: Any, targets: Any, names: Any = signals.NAMES, confidence: str = "max"
) -> dict[str, Any]:
    log = DeviceLog(device, len(targets), names)
    log.reserve(len(targets))
    ids = torch.arange(len(targets), device=device.torch_device)
    there = device.torch_device
    log.append_logits(ids, logits.to(there), targets.to(there), confidence)
    log.close()
    assert log.rows.tolist() == ids.tolist()
    return {name: log.signal(name) for name in names}


def expected(logits: Any, targets: Any, confidence: str = "max") -> dict[str, Any]:
    values = signals.compute(signals.NAMES, logits.cpu(), targets.cpu(), confidence)
    return {name: one.numpy() for name, one in values.items()}


def assert_equal(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, values in wanted.items():
        if name in {"correct", "margin"}:
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        else:  # some are differences of numbers near 1
            np.testing.assert_allclose(found[name], values, 1e-6, 1e-6, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("classes", [2, 3, 31, 33, 128, 129, 1000, 1025, 3000, 4101, 8200])
def test_random_rows(device: Device, classes: int, dtype: str) -> None:
    random = np.random.default_rng(classes)
    size = 37
    logits = torch.from_numpy(random.standard_normal((size, classes)) * 3)
    logits = logits.to(getattr(torch, dtype))
    targets = torch.from_numpy(random.integers(0, classes, size))
    targets[::3] = logits[::3].argmax(1)
    for confidence in ("max", "target"):
        found = on_device(device, logits, targets, confidence=confidence)
        assert_equal(found, expected(logits, targets, confidence))


EDGES = torch.tensor(
    [
        [1.0, 2.0, 3.0],
        [2.0, 2.0, 2.0],  # of equals the first
        [0.0, -0.0, -1.0],
        [NAN, 1.0, 2.0],
        [1.0, NAN, 2.0],
        [NAN, NAN, NAN],
        [INF, 1.0, 2.0],
        [INF, INF, 2.0],
        [-INF, 1.0, 2.0],
        [-INF, -INF, 2.0],
        [-INF, -INF, -INF],
        [3e38, -3e38, 0.0],
        [100.0, -100.0, 0.0],
        [1e-40, -1e-40, 0.0],
    ]
)


@pytest.mark.parametrize("target", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_edge_rows(device: Device, dtype: str, target: int) -> None:
    logits = EDGES.to(getattr(torch, dtype))
    targets = torch.full((len(logits),), target)
    assert_equal(on_device(device, logits, targets), expected(logits, targets))


def test_one_class(device: Device) -> None:
    logits, targets = torch.tensor([[2.0], [NAN], [-INF]]), torch.zeros(3, dtype=torch.int64)
    names = ("loss", "correct", "confidence", "el2n", "l1", "sum_margin", "probability")
    wanted = signals.compute(names, logits, targets)
    assert_equal(
        on_device(device, logits, targets, names), {n: v.numpy() for n, v in wanted.items()}
    )
    for name in ("margin", "max_margin"):
        with pytest.raises(ValueError, match=f"{name} needs logits of at least 2 classes, got 1"):
            on_device(device, logits, targets, (name,))


def test_targets_out_of_range_give_nan_and_leave_the_others(device: Device) -> None:
    logits = torch.randn(4, 10)
    targets = torch.tensor([3, 10, -1, 9])
    found = on_device(device, logits, targets)
    right = torch.tensor([3, 0, 0, 9])
    for name, values in expected(logits, right).items():
        assert np.isnan(found[name][1:3]).all(), name
        np.testing.assert_allclose(found[name][[0, 3]], values[[0, 3]], 1e-6, 1e-6)


@pytest.mark.parametrize("kind", ["int64", "int32", "int16", "uint8"])
def test_layouts_and_types_of_what_a_model_gives(device: Device, kind: str) -> None:
    wide = torch.randn(6, 20, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 3, 4, 5]).to(getattr(torch, kind))
    for logits in (wide, wide[:, 3:13], wide[:, ::2], wide[:, :6].T, wide[:1].expand(6, 20)):
        found = on_device(device, logits, targets)
        assert_equal(found, expected(logits.detach(), targets.long()))


def test_signals_that_are_given_come_before_those_computed(device: Device) -> None:
    log = DeviceLog(device, 10, ("correct", "loss", "mine"))
    log.reserve(10)
    logits, targets = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 1])
    ids = torch.tensor([4, 5])
    loss, mine = torch.tensor([7.0, 8.0]), torch.tensor([1, 2])
    for place in (device.torch_device, "cpu"):
        log.append_logits(
            ids.to(place), logits.to(place), targets.to(place), "max", {"loss": loss, "mine": mine}
        )
    log.append_logits(
        ids.numpy(), logits.numpy(), targets.numpy(), "max", {"loss": loss, "mine": mine}
    )
    log.close()
    assert log.signal("correct").tolist() == [1, 0] * 3
    assert log.signal("loss").tolist() == [7, 8] * 3
    assert log.signal("mine").tolist() == [1, 2] * 3
    there = [one.to(device.torch_device) for one in (ids, logits, targets)]
    with pytest.raises(ValueError, match="signals lack 'mine'; given: 'loss'"):
        log.append_logits(*there, "max", {"loss": loss})
    for wrong, message in (
        ((ids, logits[:1], targets[:1]), "logits must have one value per id: it has 1, index 2"),
        ((ids, logits, targets[:1]), r"targets must have shape \(2,\)"),
        ((ids, logits[0], targets), r"logits must have shape \[B, C\]"),
        ((ids, logits.to("meta"), targets), "logits must be on .* got a tensor on meta"),
    ):
        there = [one if one.device.type == "meta" else one.to(device.torch_device) for one in wrong]
        with pytest.raises(ValueError, match=message):
            log.append_logits(*there, "max", {"mine": mine})
    assert len(log) == 6


def test_what_does_not_fit_is_not_written(device: Device) -> None:
    log = DeviceLog(device, 100, ("loss", "margin"))
    log.reserve(40)
    logits, targets = torch.randn(100, 5), torch.zeros(100, dtype=torch.int64)
    there = device.torch_device
    log.append_logits(torch.arange(100).to(there), logits.to(there), targets.to(there))
    assert (log.counts().observed, log.counts().lost) == (40, 60)
    log.close()
    np.testing.assert_array_equal(log.signal("margin"), expected(logits, targets)["margin"][:40])
