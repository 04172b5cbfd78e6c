"""`dynsample.ops` on tensors of a device: what it gives for arrays."""

from __future__ import annotations

import numpy as np
import pytest

from dynsample import ops
from dynsample.device import Device
from dynsample.device import ops as there

KEY = {"seed": 2**64 - 3, "epoch": 5}
N = 10_001


def probabilities() -> np.ndarray:
    p = np.random.default_rng(2).random(N).astype(np.float32)
    p[::7] = 0
    p[5] = np.nan
    return p


CASES = {
    "hide_lowest": lambda o, p, m: o.hide_lowest(p, 3000, m),
    "hide_lowest, finite": lambda o, p, m: o.hide_lowest(p, 9000, finite_only=True),
    "exact_mean": lambda o, p, m: o.exact_mean(p, m, finite_only=True),
    "min_max": lambda o, p, m: o.min_max(p, m, finite_only=True),
    "mask_ids": lambda o, p, m: o.mask_ids(m, invert=True),
    "draw_counts": lambda o, p, m: o.draw_counts(p, N, **KEY),
    "draw_counts, multinomial": lambda o, p, m: o.draw_counts(p, N, **KEY, method="multinomial"),
    "draw_mask": lambda o, p, m: o.draw_mask(p, 4000, **KEY),
    "draw": lambda o, p, m: o.draw(p, 5000, replacement=True, **KEY),
    "draw without": lambda o, p, m: o.draw(p, 5000, replacement=False, **KEY),
    "inverse": lambda o, p, m: o.inverse_probabilities(p, N),
    "bernoulli": lambda o, p, m: o.bernoulli_cdf(p, 0.43, **KEY, where=m),
    "power": lambda o, p, m: o.power(p, 0.7),
}


@pytest.mark.parametrize("name", CASES)
def test_what_comes_out_is_what_the_cpu_gives(device: Device, name: str) -> None:
    p = probabilities()
    mask = np.arange(N) % 3 > 0
    expected = CASES[name](ops, p, mask)
    found = CASES[name](there, device.put(p), device.put(mask))
    if not isinstance(expected, np.ndarray):
        assert found == expected
        return
    assert found.device == device.torch_device
    assert str(found.dtype) == f"torch.{expected.dtype}"
    np.testing.assert_array_equal(found.cpu().numpy(), expected)


def test_a_slice_of_an_order(device: Device) -> None:
    torch = pytest.importorskip("torch")
    ids = np.arange(100, 5000, dtype=np.uint32)
    found = there.order_slice(device.put(ids).view(torch.uint32), **KEY, start=7, stop=4000)
    assert found.tolist() == ops.order_slice(ids, **KEY, start=7, stop=4000).tolist()


def test_what_the_cpu_refuses_is_refused(device: Device) -> None:
    p = device.put(probabilities())
    for wrong, message in (
        (lambda: there.draw_mask(p, N, **KEY), "k must be at most the number of positive"),
        (lambda: there.draw_counts(-p, 5, **KEY), "probabilities must not be negative, got -"),
        (lambda: there.hide_lowest(p, N + 1), rf"k must be in \[0, {N}\]"),
        (lambda: there.hide_lowest(p, 5, device.full(N - 1, True)), "where must have shape"),
        (lambda: there.power(p, np.inf), "exponent must be finite"),
        (lambda: there.bernoulli_cdf(p, -1.0, **KEY), "beta must be finite and not negative"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(TypeError, match="must have dtype float32"):
        there.hide_lowest(p.double(), 5)
