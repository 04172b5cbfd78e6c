"""Plans that others hand out, on a device: settled and folded as on the CPU, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dynsample as ds
from dynsample.groups import Group, simulate
from dynsample.kernels.cuda import Device
from dynsample.run import handout
from dynsample.run.boundary import ObservationError

pytest.importorskip("torch")

from device_runs import EPOCHS, N, sampler_on, signals, state


def observe(sampler: ds.Sampler, device: Device | None, ids: np.ndarray) -> None:
    seen = signals(ids, sampler.epoch)
    seen["loss"] = seen["loss"] + np.float32(sampler.group.rank)  # which observation wins is seen
    if device is None:
        sampler.observe(ids, **seen)
    else:
        there = {name: device.put(value) for name, value in seen.items()}
        sampler.observe(device.put(ids), **there)


def left(sampler: ds.Sampler, *, hidden: bool = False) -> np.ndarray:
    return np.array(list(handout.iterate(sampler.run, hidden=hidden, start=0)), np.int64)


def train(
    name: str, group: Group, device: Device | None, folder: Path | None = None, there: Any = None
) -> list[dict[str, Any]]:
    """Return the state at every epoch's start; with a folder go on from there in epoch 1."""
    sampler, states = sampler_on(device, name, group=group, issue="external"), []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        states.append(state(sampler))
        order = left(sampler)
        if epoch == 1:
            observe(sampler, device, order[group.rank : 500 : group.size])
            if folder is not None:
                sampler.save(folder)
                device = there
                sampler = sampler_on(device, name, group=group, issue="external")
                sampler.load(folder)
            sampler.set_epoch(1)
            order = left(sampler)
        padded = np.concatenate([order, order[: 60 * group.size - 1]])
        for ids in np.array_split(padded[group.rank :: group.size], 7):
            observe(sampler, device, ids)
        hidden = left(sampler, hidden=True)[group.rank :: group.size]
        if len(hidden):
            observe(sampler, device, hidden)
    return states


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("name", ["kakurenbo", "infobatch", "importance"])
def test_a_run_on_a_device_is_that_of_the_cpu(device: Device, name: str, ranks: int) -> None:
    expected = simulate(ranks, lambda group: train(name, group, None))
    assert expected[0][1]["stats"]["surplus"] > 0
    assert simulate(ranks, lambda group: train(name, group, device)) == expected


@pytest.mark.parametrize("way", ["cpu to device", "device to cpu"])
@pytest.mark.parametrize("name", ["kakurenbo", "importance"])
def test_a_state_goes_on_anywhere(device: Device, name: str, way: str, tmp_path: Path) -> None:
    first, then = (None, device) if way == "cpu to device" else (device, None)
    expected = simulate(2, lambda group: train(name, group, None))
    assert simulate(2, lambda group: train(name, group, first, tmp_path, then)) == expected


def test_ids_that_the_plan_does_not_issue_are_named_at_the_boundary(device: Device) -> None:
    sampler = sampler_on(device, "random", group=None, issue="external")
    order, left_out = left(sampler), sampler.plan.hidden[:1]
    observe(sampler, device, np.concatenate([order, left_out, order[:5]]))
    with pytest.raises(ObservationError, match=f"1 observations .* the first {left_out[0]}"):
        sampler.set_epoch(1)
    sampler.set_epoch(1)
    assert np.count_nonzero(sampler.table.seen.cpu().numpy()) == len(order) < N


def test_one_rank_may_observe_everything(device: Device) -> None:
    def body(group: Group) -> float:
        sampler = sampler_on(device, "kakurenbo", group=group, issue="external")
        order = left(sampler)
        if group.rank == 0:
            observe(sampler, device, order)
        sampler.set_epoch(1)
        return sampler.stats["unseen"]

    assert simulate(3, body) == [0, 0, 0]


def test_plans_that_stay_open_need_a_table_on_the_host(device: Device) -> None:
    with pytest.raises(ValueError, match=r"late must be 0 with a table on .*, got 1"):
        sampler_on(device, "kakurenbo", group=ds.groups.single(), issue="external", late=1)
