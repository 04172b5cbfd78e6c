"""`dynsample.ops` on tensors of a device: what it gives for arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from device_ops import ON_DEVICE, ops_on

from dynsample import ops
from dynsample.kernels.cuda import Device
from dynsample.kernels.cuda.backend import OnDevice
from dynsample.plan.selection import EpochRandom
from dynsample.table.columns import Last
from dynsample.table.table import ScoreTable

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
    found = CASES[name](ops_on(device), device.put(p), device.put(mask))
    if not isinstance(expected, np.ndarray):
        assert found == expected
        return
    assert found.device == device.torch_device
    assert str(found.dtype) == f"torch.{expected.dtype}"
    np.testing.assert_array_equal(found.cpu().numpy(), expected)


def test_a_slice_of_an_order(device: Device) -> None:
    torch = pytest.importorskip("torch")
    ids = np.arange(100, 5000, dtype=np.uint32)
    found = ops_on(device).order_slice(
        device.put(ids).view(torch.uint32), **KEY, start=7, stop=4000
    )
    assert found.tolist() == ops.order_slice(ids, **KEY, start=7, stop=4000).tolist()


def test_what_the_cpu_refuses_is_refused(device: Device) -> None:
    p, there = device.put(probabilities()), ops_on(device)
    for wrong, message in (
        (lambda: there.draw_mask(p, N, **KEY), "k must be at most the number of positive"),
        (lambda: there.draw_counts(-p, 5, **KEY), "probabilities must not be negative, got -"),
        (lambda: there.hide_lowest(p, N + 1), rf"k must be in \[0, {N}\]"),
        (
            lambda: there.hide_lowest(p, 5, device.full(N - 1, True)),
            "eligible must have 10001 rows",
        ),
        (lambda: there.power(p, np.inf), "exponent must be finite"),
        (lambda: there.bernoulli_cdf(p, -1.0, **KEY), "beta must be finite and not negative"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
    with pytest.raises(TypeError, match="must have dtype float32"):
        there.hide_lowest(p.double(), 5)


def bad(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Arguments of a function of `ops`, one of which is wrong each time."""
    good = GOOD[name]
    column = next(iter(good))
    wrong: list[tuple[str, Any]] = [
        (column, good[column][:, None]),
        (column, None),
    ]
    if column != "probabilities":  # which may be any sequence of real numbers
        wrong += [(column, good[column].astype(dtype)) for dtype in (np.float64, np.int16)]
        wrong += [(column, good[column].tolist())]
    for mask in {"eligible", "where"} & good.keys():
        array = good[mask]
        wrong += [(mask, array[1:]), (mask, array.astype(np.int8)), (mask, array[None])]
        wrong += [(mask, array.tolist())]
    wrong += [("k", value) for value in (-1, 2**40, 1.0, "3") if "k" in good]
    wrong += [
        (key, value) for key in ("seed", "epoch") if key in good for value in (-1, 2**64, 0.5)
    ]
    wrong += [("method", "alias")] if "method" in good else []
    wrong += [("beta", value) for value in (-1.0, np.nan, np.inf) if "beta" in good]
    wrong += [("exponent", value) for value in (np.nan, np.inf) if "exponent" in good]
    wrong += [(bound, value) for bound in ("start", "stop") if bound in good for value in (-1, 99)]
    wrong += [("stream", 2**32)] if "stream" in good else []
    negative = good[column].copy()
    if name not in {"mask_ids", "order_slice"} and {"k", "exponent"} & good.keys():
        negative[3] = -2
        wrong += [(column, negative)] if name != "hide_lowest" else []
    if name in {"draw", "draw_counts", "draw_mask"}:
        wrong += [(column, np.zeros(10, np.float32))]
    return [(f"{name}: {argument}={value!r:.60}", {**good, argument: value})
            for argument, value in wrong]  # fmt: skip


ROWS, MASK = np.arange(10, dtype=np.float32), np.arange(10) % 2 > 0
SEEDS = {"seed": 1, "epoch": 2}
GOOD: dict[str, dict[str, Any]] = {
    "hide_lowest": {"scores": ROWS, "k": 3, "eligible": MASK},
    "exact_mean": {"values": ROWS, "where": MASK},
    "min_max": {"values": ROWS, "where": MASK},
    "mask_ids": {"mask": MASK},
    "draw_counts": {"probabilities": ROWS, "k": 3, **SEEDS, "method": "systematic"},
    "draw_mask": {"probabilities": ROWS, "k": 3, **SEEDS},
    "draw": {"probabilities": ROWS, "k": 3, "replacement": True, **SEEDS, "method": "systematic"},
    "draw ": {"probabilities": ROWS, "k": 3, "replacement": False, **SEEDS},
    "inverse_probabilities": {"probabilities": ROWS, "k": 3},
    "bernoulli_cdf": {"values": ROWS, "beta": 0.5, **SEEDS, "where": MASK},
    "power": {"values": ROWS, "exponent": 2.0},
    "order_slice": {"ids": np.arange(10, dtype=np.uint32), **SEEDS, "start": 0, "stop": 5,
                    "stream": 3},
}  # fmt: skip


def said(module: Any, name: str, arguments: dict[str, Any], put: Callable[[Any], Any]) -> str:
    given = {key: put(value) for key, value in arguments.items()}
    try:
        getattr(module, name.strip())(**given)
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


@pytest.mark.parametrize("name", GOOD)
def test_an_error_says_the_same_of_arrays_tensors_and_tensors_on_a_device(
    device: Device, name: str
) -> None:
    torch, there = pytest.importorskip("torch"), ops_on(device)

    def tensor(value: Any) -> Any:
        return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value

    def there_too(value: Any) -> Any:
        return tensor(value).to(device.torch_device) if isinstance(value, np.ndarray) else value

    assert said(ops, name, GOOD[name], lambda value: value) == "nothing"
    assert said(there, name, GOOD[name], there_too) == "nothing"
    for label, arguments in bad(name):
        expected = said(ops, name, arguments, lambda value: value)
        assert expected != "nothing", label
        named = next(key for key in arguments if arguments[key] is not GOOD[name].get(key))
        assert named in expected, label
        assert said(ops, name, arguments, tensor) == expected, label
        assert said(there, name, arguments, there_too) == expected, label


def test_every_function_of_a_device_is_compared() -> None:
    assert {name.strip() for name in GOOD} == set(ON_DEVICE) <= set(ops.__all__)


def test_a_mask_elsewhere_than_its_scores_is_named() -> None:
    torch = pytest.importorskip("torch")
    scores, mask = np.zeros(3, np.float32), torch.ones(3, dtype=torch.bool, device="meta")
    with pytest.raises(ValueError, match="eligible must be on the CPU, as scores is, got meta"):
        ops.hide_lowest(scores, 1, mask)


TABLE_CALLS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "hide_lowest values": ("values", lambda t, x: t.hide_lowest(x, 3)),
    "exact_mean values": ("values", lambda t, x: t.exact_mean(x)),
    "min_max values": ("values", lambda t, x: t.min_max(x)),
    "below values": ("values", lambda t, x: t.below(x, 0.5)),
    "cdf_bernoulli values": ("values", lambda t, x: t.cdf_bernoulli(x, 0.5, EpochRandom(1, 2))),
    "draw probabilities": (
        "probabilities", lambda t, x: t.draw(x, 3, EpochRandom(1, 2), replacement=True)),
    "hide_lowest eligible": ("eligible", lambda t, x: t.hide_lowest(t["x"], 3, x)),
    "exact_mean where": ("where", lambda t, x: t.exact_mean(t["x"], x)),
    "min_max where": ("where", lambda t, x: t.min_max(t["x"], x)),
}  # fmt: skip


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("name", TABLE_CALLS)
def test_a_reduction_names_the_argument_of_its_caller_on_every_table(
    device: Device, name: str, seen: bool
) -> None:
    argument, call = TABLE_CALLS[name]
    mask = argument in {"eligible", "where"}
    good = MASK if mask else ROWS
    columns = {"x": Last()}
    tables = [
        ScoreTable(10, columns),
        ScoreTable(10, columns, arrays=OnDevice(device)),
    ]
    for wrong in (good[1:], good[:, None], good.astype(np.int16), good.tolist()):
        messages = []
        for table in tables:
            table.seen[:] = seen
            on_device = table.arrays.on_device and isinstance(wrong, np.ndarray)
            with pytest.raises((TypeError, ValueError)) as error:
                call(table, device.put(wrong) if on_device else wrong)
            messages.append(str(error.value))
        assert messages[0].startswith(f"{argument} must ")
        assert len(set(messages)) == 1
