"""Whole runs on a device: plans, tables and statistics are those of the CPU, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dynsample as ds
from dynsample.groups import Group, simulate
from dynsample.kernels.cuda import Device

torch = pytest.importorskip("torch")

from device_runs import (  # noqa: E402
    COLUMNS,
    POLICIES,
    SMALL_BATCH,
    N,
    sampler_on,
    signals,
    state,
    train,
)


@pytest.mark.parametrize("subset", [False, True], ids=["all", "subset"])
@pytest.mark.parametrize("name", POLICIES)
def test_a_run_on_a_device_is_that_of_the_cpu(device: Device, name: str, subset: bool) -> None:
    options = {"subset": np.flatnonzero(np.arange(N) % 3)} if subset else {}
    expected = train(sampler_on(None, name, **options), None)
    assert train(sampler_on(device, name, **options), device) == expected


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("placement", ["replicated", "sharded"])
@pytest.mark.parametrize("name", ["kakurenbo", "infobatch", "importance", "forgetting", "weighted",
                                  "importance without replacement", "selective-backprop", "afss",
                                  "random", "class-budget", "curriculum", "group-dro", "ies",
                                  "order-dp", "pass-rate", "reducible-loss",
                                  "replay-priority", "seta"])  # fmt: skip
def test_ranks_on_devices_agree_with_the_cpu(
    device: Device, name: str, placement: str, ranks: int
) -> None:
    def body(group: Group, there: Device | None) -> list[dict[str, Any]]:
        options = {"group": group, "placement": placement}
        return train(sampler_on(there, name, **options), there)

    expected = simulate(ranks, lambda group: body(group, None))
    assert simulate(ranks, lambda group: body(group, device)) == expected


@pytest.mark.parametrize("name", ["kakurenbo", "importance"])
@pytest.mark.parametrize("target", ["cpu", "device"])
def test_a_run_saved_on_a_device_goes_on_anywhere(
    device: Device, name: str, target: str, tmp_path: Path
) -> None:
    expected = train(sampler_on(None, name), None)
    sampler = sampler_on(device, name)
    sampler.set_epoch(0)
    for number, ids in enumerate(sampler):
        sampler.observe(device.put(ids), **{k: device.put(v) for k, v in signals(ids, 0).items()})
        if number == 20:
            break
    sampler.save(tmp_path / "state", consumed=21)
    there = device if target == "device" else None
    again = sampler_on(there, name)
    again.load(tmp_path / "state")
    for batches in (again, again.hidden):
        for ids in batches:
            again.observe(ids, **signals(ids, 0))
    again.set_epoch(1)
    assert state(again) == expected[1]


@pytest.mark.parametrize("placement", ["replicated", "sharded"])
@pytest.mark.parametrize("size", [64 * 6 + 1, 64 * 6 + 2])
def test_padded_rows_are_dropped_on_devices_too(device: Device, placement: str, size: int) -> None:
    def body(group: Group, there: Device | None) -> list[dict[str, Any]]:
        where = "cpu" if there is None else there
        policy = ds.ImportanceSampling(num_draws=size, smoothing=0.1)
        for_rank = {"group": group, "placement": placement, "device": where}
        return train(ds.Sampler(size, policy, SMALL_BATCH, columns=COLUMNS, **for_rank), there)

    expected = simulate(3, lambda group: body(group, None))
    assert simulate(3, lambda group: body(group, device)) == expected


def test_what_was_received_before_a_save_is_taken_from_any_rank(
    device: Device, tmp_path: Path
) -> None:
    def begin(group: Group) -> None:
        sampler = sampler_on(device, "kakurenbo", group=group)
        sampler.set_epoch(0)
        batches = iter(sampler)
        late[group.rank] = [next(batches) for _ in range(5)]
        for ids in late[group.rank][:3]:
            sampler.observe(ids, **signals(ids, 0))
        sampler.save(tmp_path / "state", consumed=5)

    def go_on(group: Group) -> list[dict[str, Any]]:
        sampler = sampler_on(device, "kakurenbo", group=group)
        sampler.load(tmp_path / "state")
        if group.rank == 0:
            for ids in [*late[0][3:], *late[1][3:]]:
                sampler.observe(device.put(ids), **signals(ids, 0))
        for batches in (sampler, sampler.hidden):
            for ids in batches:
                sampler.observe(ids, **signals(ids, 0))
        sampler.set_epoch(1)
        return [state(sampler)]

    late: dict[int, list[np.ndarray]] = {}
    expected = simulate(2, lambda group: train(sampler_on(None, "kakurenbo", group=group), None))
    simulate(2, begin)
    assert [found[0] for found in simulate(3, go_on)] == [expected[0][1]] * 3
