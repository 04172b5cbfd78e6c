"""The open and the closed part of a log on a device are those of the log of the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import dynsample as ds
from dynsample.kernels.cuda import Device
from dynsample.table.columns import EMA, Last
from dynsample.table.log import ObservationLog

torch = pytest.importorskip("torch")

from dynsample.kernels.cuda.backend import OnDevice  # noqa: E402
from dynsample.table.cuda_counts import Counts  # noqa: E402
from dynsample.table.cuda_log import DeviceLog  # noqa: E402

N = 6
COLUMNS = {"loss": Last(), "average": EMA(0.5, signal="loss")}


@pytest.mark.parametrize("seed", range(20))
def test_random_calls_have_the_same_outcome(device: Device, seed: int) -> None:
    random = np.random.default_rng(seed)
    here = ds.ScoreTable(N, COLUMNS)
    there = ds.ScoreTable(N, COLUMNS, None, OnDevice(device))
    host, log = ObservationLog(N, ["loss"]), DeviceLog(device, N, ["loss"])
    log.reserve(1000)
    address = log._header.data_ptr()
    for _ in range(40):
        match random.choice(["append", "close", "fold", "drop", "clear", "restore"], p=[
            0.4, 0.25, 0.15, 0.08, 0.04, 0.08,
        ]):  # fmt: skip
            case "append":
                ids = random.integers(0, N, random.integers(0, 5))
                loss = random.random(len(ids), np.float32)
                host.append(ids, {"loss": loss})
                log.append(device.put(ids), {"loss": device.put(loss)})
            case "close":
                host.close()
                log.close()
            case "fold":
                here.fold(host, epoch=0)
                there.fold(log, epoch=0)
            case "drop":
                folded = bool(random.integers(2))
                host.drop_closed(folded=folded)
                log.drop_closed(folded=folded)
            case "clear":
                host.clear()
                log.clear()
            case "restore":
                rows = random.integers(0, N, 3).astype(np.uint32)
                loss = random.random(3, np.float32)
                host.restore(rows, {"loss": loss}, 2)
                log.restore(rows, {"loss": loss}, 2)
        for name in ("num_closed", "num_folded"):
            assert getattr(log, name) == getattr(host, name)
        assert len(log) == len(host)
        np.testing.assert_array_equal(log.index(), host.index(), strict=True)
        np.testing.assert_array_equal(log.signal("loss"), host.signal("loss"), strict=True)
    for name, array in here.state().items():
        np.testing.assert_array_equal(there.state()[name], array)
    assert log._header.data_ptr() == address


def test_what_was_refused_is_counted_in_the_part_where_it_came(device: Device) -> None:
    log = DeviceLog(device, 3, ["loss"])
    log.reserve(4)

    def append(*ids: int) -> None:
        log.append(np.array(ids), {"loss": np.zeros(len(ids), np.float32)})

    append(0, 7)
    log.close()
    append(1, 8, 2, -1, 0)
    assert log.closed_counts == Counts(2, 1, 7, 0, None, 0)
    assert log.counts() == Counts(6, 3, 7, 0, None, 1)
    assert log.refusals() == "1 had ids out of [0, 3), the first 7"
    assert (len(log), log.num_closed) == (3, 1)
    log.drop_closed()
    assert (log.refusals(), log.num_folded) == ("", 1)
    log.close()
    assert log.closed_counts == Counts(4, 2, 8, 0, None, 1)
    assert log.index().tolist() == [1, 2]


def test_the_open_part_has_as_much_room_after_a_close(device: Device) -> None:
    log = DeviceLog(device, 3, ["loss"])
    log.reserve(100)
    for _ in range(3):
        log.append(np.zeros(100, np.int64), {"loss": np.zeros(100, np.float32)})
        log.close()
        assert log.capacity == 100
    assert log.closed_counts == Counts(300, 0, None, 0, None, 0)


def test_late_observations_of_a_sampler_are_told_from_those_of_the_epoch(device: Device) -> None:
    sampler = ds.Sampler(4, ds.Uniform(), 4, columns={"loss": Last()}, group=None, device=device)
    ids = next(iter(sampler))
    sampler.set_epoch(1)
    sampler.observe(ids, loss=np.zeros(4, np.float32))
    sampler.observe(next(iter(sampler)), loss=np.arange(1, 5, dtype=np.float32))
    with pytest.raises(ds.ObservationError, match=r"^4 observations of epoch 1"):
        sampler.set_epoch(2)
    sampler.set_epoch(2)
    assert sorted(sampler.table["loss"].tolist()) == [1, 2, 3, 4]


def test_weights_are_those_of_the_cpu_and_not_numbers_for_ids_not_issued(device: Device) -> None:
    weights = np.array([1, 2, 4], np.float32)
    host, log = ObservationLog(3, ["loss"]), DeviceLog(device, 3, ["loss"])
    for each in (host, log):
        each.set_rows(np.array([-1, 2, -1, 0, 1], np.int32))
        each.set_allowed(np.array([True, False, True]))
    ids = np.arange(-2, 7)
    found = log.weights(device.put(ids), device.put(weights)).cpu().numpy()
    for id_, weight in zip(ids, found, strict=True):
        try:
            wanted = host.weights(np.array([id_]), weights)[0]
        except (IndexError, ValueError):
            wanted = np.float32(np.nan)
        np.testing.assert_equal(weight, wanted)
    with pytest.raises(TypeError, match="index must have an integer dtype, got bool"):
        log.weights(device.put(np.array([True, False, True])), device.put(weights))
