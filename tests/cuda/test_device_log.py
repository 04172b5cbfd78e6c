"""The log on a device holds what the log of the CPU holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from exchanged import Exchanged

from dynsample.kernels.cuda import Device
from dynsample.table.log import ObservationLog

torch = pytest.importorskip("torch")

from dynsample.table.cuda_counts import Counts  # noqa: E402
from dynsample.table.cuda_log import DeviceLog  # noqa: E402

IDS = np.array([3, 0, 4], np.int64)
LOSS = np.array([0.5, 1.5, 2.5], np.float32)


def make_log(
    device: Device, num_samples: int = 5, signals: Sequence[str] = ("loss",), room: int = 100
) -> DeviceLog:
    log = DeviceLog(device, num_samples, signals)
    log.reserve(room)
    return log


def assert_holds(log: Any, index: Any, **signals: Any) -> None:
    log.close()
    np.testing.assert_array_equal(log.index(), np.asarray(index, np.uint32), strict=True)
    for name, values in signals.items():
        np.testing.assert_array_equal(log.signal(name), np.float32(values), strict=True)


INDEX_KINDS = {
    "int64": lambda ids: ids,
    "int32": lambda ids: ids.int(),
    "[B, 1]": lambda ids: ids[:, None],
    "strided": lambda ids: ids.repeat_interleave(2)[::2],
    "numpy": lambda ids: ids.cpu().numpy(),
    "numpy int32": lambda ids: ids.cpu().numpy().astype(np.int32),
    "numpy big endian": lambda ids: ids.cpu().numpy().astype(">i8"),
    "host tensor": lambda ids: ids.cpu(),
}


@pytest.mark.parametrize("kind", INDEX_KINDS)
def test_every_kind_of_index_is_read_alike(device: Device, kind: str) -> None:
    log = make_log(device)
    log.append(INDEX_KINDS[kind](device.put(IDS)), {"loss": device.put(LOSS)})
    assert_holds(log, IDS, loss=LOSS)


DTYPES = [
    "float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool",
]  # fmt: skip
VALUES = [0.0, 1.0, -1.0, 0.1, 1e-7, -3e-8, 65504.0, 1e5, 3e38, 1e39, float("inf"), float("nan")]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_becomes_the_float32_of_the_cpu(device: Device, dtype: str) -> None:
    kind = getattr(torch, dtype)
    if kind.is_floating_point:
        values = torch.tensor(VALUES, dtype=torch.float64).to(kind)
    elif kind is torch.bool:
        values = torch.tensor([True, False])
    else:
        info = torch.iinfo(kind)
        values = torch.tensor([0, 1, info.min, info.max, info.max - 1, info.max // 3], dtype=kind)
    ids = torch.arange(len(values))
    host = ObservationLog(20, ["loss"])
    host.append(ids, {"loss": values})
    log = make_log(device, 20)
    assert log.append_in_place(
        ids.to(device.torch_device), {"loss": values.to(device.torch_device)}
    )
    host.close()
    assert_holds(log, host.index(), loss=host.signal("loss"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_number_of_half_precision_is_read_as_torch_reads_it(
    device: Device, dtype: str
) -> None:
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16)
    values = bits.view(getattr(torch, dtype)).to(device.torch_device)
    log = make_log(device, 1, room=2**16)
    log.append(torch.zeros(2**16, dtype=torch.int64, device=device.torch_device), {"loss": values})
    log.close()
    np.testing.assert_array_equal(log.signal("loss"), values.float().cpu().numpy())


def test_a_nan_of_double_precision_is_the_one_that_the_cpu_makes_of_it(device: Device) -> None:
    payloads = np.arange(1, 2**20, 4097, dtype=np.uint64) << np.uint64(32)
    bits = np.concatenate([payloads, payloads >> np.uint64(20)]) | np.uint64(0x7FF0 << 48)
    values = np.concatenate([bits, bits | np.uint64(1 << 63)]).view(np.float64)
    log = make_log(device, 1, room=len(values))
    log.append(device.put(np.zeros(len(values), np.int64)), {"loss": device.put(values)})
    log.close()
    with np.errstate(invalid="ignore"):
        expected = values.astype(np.float32)
    assert log.signal("loss").tobytes() == expected.tobytes()


SIGNAL_KINDS = {
    "[B, 1]": lambda loss: loss[:, None],
    "strided": lambda loss: torch.stack([loss, loss], 1)[:, 0],
    "with gradient": lambda loss: loss.clone().requires_grad_() * 1.0,
    "parameter": lambda loss: torch.nn.Parameter(loss.clone()),
    "negated view": lambda loss: torch.imag(torch.complex(loss * 0, -loss).conj()),
    "numpy": lambda loss: loss.cpu().numpy(),
    "numpy float16": lambda loss: loss.cpu().numpy().astype(np.float16),
    "read-only": lambda loss: np.frombuffer(loss.cpu().numpy().tobytes(), np.float32),
    "host bfloat16": lambda loss: loss.cpu().bfloat16(),
    "float8": lambda loss: loss.to(torch.float8_e4m3fn),
    "DLPack": lambda loss: Exchanged(loss),
}


@pytest.mark.parametrize("kind", SIGNAL_KINDS)
def test_every_kind_of_signal_is_read_alike(device: Device, kind: str) -> None:
    log = make_log(device)
    log.append(device.put(IDS), {"loss": SIGNAL_KINDS[kind](device.put(LOSS)), "other": None})
    assert_holds(log, IDS, loss=LOSS)


@pytest.mark.parametrize("size", [0, 1, 1023, 1025, 5000])
def test_batches_of_any_size_and_repeated_ids_are_kept_in_call_order(
    device: Device, size: int
) -> None:
    random = np.random.default_rng(size)
    log = make_log(device, 50, ("correct", "loss"), room=2 * size)
    host = ObservationLog(50, ("correct", "loss"))
    for _ in range(2):
        ids = random.integers(0, 50, size)
        signals = {"loss": random.random(size, np.float32), "correct": random.random(size) < 0.5}
        host.append(ids, signals)
        log.append(device.put(ids), {name: device.put(one) for name, one in signals.items()})
    host.close()
    assert_holds(log, host.index(), loss=host.signal("loss"), correct=host.signal("correct"))
    assert len(log) == 2 * size
    assert log.rows.tolist() == host.index().tolist()
    assert log.values("loss").tolist() == host.signal("loss").tolist()


def test_what_must_be_converted_is_not_appended_in_place(device: Device) -> None:
    log = make_log(device)
    ids, loss = device.put(IDS), device.put(LOSS)
    for index, signals in (
        (IDS, {"loss": loss}),
        (ids, {"loss": LOSS}),
        (ids, {"loss": loss[:2]}),
        (ids, {}),
        (ids.short(), {"loss": loss}),
    ):
        assert not log.append_in_place(index, signals)
    assert log.append_in_place(ids, {"loss": loss})
    assert len(log) == 3


def test_a_log_without_signals_keeps_the_rows(device: Device) -> None:
    log = make_log(device, 5, ())
    log.append(device.put(IDS), {})
    assert_holds(log, IDS)


def test_what_was_appended_may_change_at_once(device: Device) -> None:
    log = make_log(device, 1000, room=20_000)
    ids, loss = torch.empty(1000, dtype=torch.int64), np.empty(1000, np.float32)
    for step in range(20):  # more than are on their way at once
        ids[:] = step
        loss[:] = step
        log.append(ids, {"loss": loss})
    assert_holds(log, np.repeat(np.arange(20), 1000), loss=np.repeat(np.arange(20), 1000))


def test_refused_ids_are_counted_and_the_first_is_named(device: Device) -> None:
    log = make_log(device)
    log.set_allowed(np.array([True, False, True, True, True]))
    log.append(device.put(IDS), {"loss": device.put(LOSS)})
    log.append(np.array([2, 1, 2**32, 5, -1]), {"loss": np.arange(5, dtype=np.float32)})
    log.append(np.array([-7, 1], np.int32), {"loss": LOSS[:2]})
    assert log.counts() == Counts(10, 4, 2**32, 2, 1, 0)
    log.close()
    assert log.rows.tolist() == [*IDS, 2, -1, -1, -1, -1, -1, -1]
    assert_holds(log, [*IDS, 2], loss=[*LOSS, 0])
    log.clear()
    assert log.counts() == Counts(0, 0, None, 0, None, 0)
    log.set_allowed(None)
    log.append(np.array([1]), {"loss": LOSS[:1]})
    assert_holds(log, [1])


@pytest.mark.parametrize("size", [4096, 4097, 30_000])
def test_of_a_large_batch_the_first_refused_id_is_named_too(device: Device, size: int) -> None:
    random = np.random.default_rng(size)
    ids = random.integers(0, 5, size)
    outside, barred = np.sort(random.choice(size, (2, 40), replace=False))
    ids[outside], ids[barred] = 7 + np.arange(40), 4
    allowed = np.array([True, True, True, True, False])
    log = make_log(device, room=2 * size + 100)
    log.set_allowed(allowed)
    loss = random.random(size, np.float32)
    for times in (1, 2):
        log.append(device.put(ids), {"loss": device.put(loss)})
        not_allowed = int((ids == 4).sum())
        assert log.counts() == Counts(times * size, times * 40, 7, times * not_allowed, 4, 0)
    log.append(device.put(ids), {"loss": device.put(loss)})  # of which 100 fit
    assert log.counts().lost == size - 100
    everything = np.concatenate([ids, ids, ids[:100]])
    kept = everything < 4
    assert_holds(log, everything[kept], loss=np.concatenate([loss, loss, loss[:100]])[kept])


def test_ids_of_a_subset_become_rows(device: Device) -> None:
    log = make_log(device, 3)
    log.set_rows(np.array([-1, 2, -1, 0, 1], np.int32))
    log.set_allowed(device.put(np.array([True, True, False])))
    log.append(device.put(np.array([4, 0, 1, 3, 5])), {"loss": device.put(np.arange(5.0))})
    assert log.counts() == Counts(5, 1, 5, 2, 0, 0)
    assert_holds(log, [1, 0], loss=[0, 3])
    log.set_rows(None)
    log.append(device.put(np.array([1])), {"loss": device.put(LOSS[:1])})
    assert_holds(log, [1, 0, 1])


def test_what_does_not_fit_is_counted_and_growth_keeps_what_is_there(device: Device) -> None:
    log = make_log(device, 5, ("correct", "loss"), room=4)
    signals = {"loss": device.put(LOSS), "correct": device.put(LOSS > 1)}
    for _ in range(3):
        log.append(device.put(IDS), signals)
    assert log.counts() == Counts(4, 0, None, 0, None, 5)
    log.reserve(9)
    log.append(device.put(IDS), signals)
    assert_holds(log, [*IDS, 3, *IDS], loss=[*LOSS, 0.5, *LOSS], correct=[0, 1, 1, 0, 0, 1, 1])
    assert log.capacity == 9


def test_a_log_beyond_its_bound_names_the_argument(device: Device) -> None:
    log = DeviceLog(device, 5, ("loss",), max_bytes=80)
    log.reserve(10)
    with pytest.raises(ValueError, match="of 11 observations is beyond the 10 that max_log_bytes"):
        log.reserve(11)


def test_restore_takes_what_index_and_signal_gave(device: Device) -> None:
    log = make_log(device, 5, ("correct", "loss"))
    log.append(np.array([3, 9, 4]), {"loss": np.array([0, 1, np.inf]), "correct": LOSS > 1})
    log.close()
    assert (log.non_finite(), log.binary()) == (1, [True, False])
    other = DeviceLog(device, 5, log.signals)
    for _ in range(2):
        other.restore(log.index(), {name: log.signal(name) for name in log.signals})
    assert_holds(other, [3, 4], loss=[0, np.inf], correct=[0, 1])
    assert other.counts() == Counts(2, 0, None, 0, None, 0)
    assert other.native.index().tolist() == [3, 4]
    assert (other.native.non_finite(), other.native.binary()) == (1, [True, False])
    with pytest.raises(IndexError, match=r"\[0, 5\), got 5"):
        other.restore(np.array([5], np.uint32), {"loss": LOSS[:1], "correct": LOSS[:1]})
    with pytest.raises(ValueError, match="signals lack 'correct'"):
        other.restore(np.array([0], np.uint32), {"loss": LOSS[:1]})
    assert len(other) == 2


def refused(device: Device) -> dict[str, tuple[Any, Any, type[Exception], str]]:
    ids, loss = device.put(IDS), device.put(LOSS)
    return {
        "scalar index": (3, loss, TypeError, "index must be a numpy, torch or DLPack array, got "),
        "float index": (loss, loss, TypeError, "index must have an integer dtype, got float32"),
        "matrix index": (ids.reshape(1, 3), loss, ValueError, "index must have one dimension"),
        "float": (ids, 1.0, ValueError, 'reduction="none"'),
        "0-d tensor": (ids, loss.mean(), ValueError, 'loss .* lacks reduction="none"'),
        "list": (ids, [1.0], TypeError, "loss must be a numpy, torch or DLPack array, got list"),
        "None": (ids, None, TypeError, "loss must be a numpy, torch or DLPack array, got NoneType"),
        "complex": (ids, loss * 1j, TypeError, "loss must have a real dtype, got torch.complex64"),
        "matrix": (ids, loss.reshape(1, 3), ValueError, r"\[B\] or \[B, 1\], got \(1, 3\)"),
        "short": (ids, loss[:2], ValueError, "loss must have one value per id: it has 2, index 3"),
        "short array": (ids, LOSS[:2], ValueError, "it has 2, index 3"),
        "other device": (
            ids.to("meta"),
            loss,
            ValueError,
            f"index must be on {device.torch_device} or the CPU, got a tensor on meta",
        ),
        "loss on another": (ids, loss.to("meta"), ValueError, "loss must be on .* tensor on meta"),
    }


@pytest.mark.parametrize("case", refused(Device(torch.device("cpu"), None)))
def test_a_refused_batch_leaves_nothing(device: Device, case: str) -> None:
    index, loss, error, message = refused(device)[case]
    log = make_log(device)
    log.append(device.put(IDS), {"loss": device.put(LOSS)})
    with pytest.raises(error, match=message):
        log.append(index, {"loss": loss})
    assert_holds(log, IDS, loss=LOSS)
    with pytest.raises(ValueError, match="signals lack 'loss'; given: 'x'"):
        log.append(device.put(IDS), {"x": loss})


def test_parameters_and_maps_are_checked(device: Device) -> None:
    with pytest.raises(ValueError, match="signals must be at most 16 on a device, got 17"):
        DeviceLog(device, 5, [str(i) for i in range(17)])
    with pytest.raises(ValueError, match="signals must differ"):
        DeviceLog(device, 5, ("loss", "loss"))
    log = make_log(device, 3)
    with pytest.raises(ValueError, match="row_of must hold -1 or rows below 3, got 3"):
        log.set_rows(np.array([0, 3], np.int32))
    with pytest.raises(ValueError, match="allowed must have 3 rows, got 4"):
        log.set_allowed(np.ones(4, np.bool_))
    with pytest.raises(TypeError, match=r"allowed must be bool\[3\], got int64"):
        log.set_allowed(np.ones(3, np.int64))
    with pytest.raises(ValueError, match=r"signal must be one of \('loss',\), got 'x'"):
        log.values("x")
