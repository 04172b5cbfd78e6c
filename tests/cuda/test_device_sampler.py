"""Whole runs on a device: plans, tables and statistics are those of the CPU, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dynsample as ds
from dynsample.columns import EMA, Last, Mean, Transitions, Uncertainty, Window
from dynsample.device import Device
from dynsample.groups import Group, simulate

torch = pytest.importorskip("torch")

N, EPOCHS = 3001, 4
POLICIES = {
    "uniform": ds.Uniform(),
    "kakurenbo": ds.Kakurenbo(fraction=0.4, tau=0.4),
    "random subset": ds.RandomSubset(0.3),
    "random subset with replacement": ds.RandomSubset(0.3, replacement=True),
    "infobatch": ds.InfoBatch(ratio=0.5, delta=1.0),
    "importance": ds.ImportanceSampling(smoothing=0.2, temperature=1.7, correct_bias=True),
    "importance without replacement": ds.ImportanceSampling(num_draws=1200, replacement=False),
    "selective backprop": ds.SelectiveBackprop(beta=1),
    "forgetting": ds.Forgetting(fraction=0.3, static_epochs=1, never_learned="n", lag=True),
    "weighted": ds.WeightedRandom("loss", num_draws=4000),
}
COLUMNS = {
    "loss": Last(), "correct": Last(), "average": EMA(0.8, signal="loss"),
    "mean": Mean(signal="loss"), "window": Window(2, signal="loss"),
    "uncertain": Uncertainty(2, signal="loss"), "early": Last(signal="loss", until=2),
    "events": Transitions(signal="correct"),
}  # fmt: skip
SMALL_BATCH = 64


def signals(ids: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
    """Losses with ties, NaN and infinities; what a model would give for these ids."""
    unit = np.sin(ids * 12.9898 + epoch * 78.233) * 43758.5453
    unit -= np.floor(unit)
    loss = (np.floor(unit * 50) / 16).astype(np.float32)
    loss[ids % 97 == 3] = np.nan
    loss[ids % 101 == 4] = np.inf
    return {
        "loss": loss,
        "correct": (unit < 0.7).astype(np.float32),
        "confidence": (1 - unit / 2).astype(np.float32),
    }


def state(sampler: ds.Sampler) -> dict[str, Any]:
    timed = {"plan_seconds", "fold_seconds"}
    table = {name: array.tobytes() for name, array in sampler.table.state().items()}
    stats = {name: value for name, value in sampler.stats.items() if name not in timed}
    return {"digest": sampler.plan.digest, "stats": stats, **table}


def train(sampler: ds.Sampler, device: Device | None) -> list[dict[str, Any]]:
    """Give the state at every epoch's start."""
    states = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        states.append(state(sampler))
        for batches in (sampler, sampler.hidden):
            for ids in batches:
                seen = signals(ids, epoch)
                if device is None:
                    sampler.observe(ids, **seen)
                else:
                    there = {name: device.put(value) for name, value in seen.items()}
                    sampler.observe(device.put(ids), **there)
    return states


def sampler_on(device: Device | None, name: str, **options: Any) -> ds.Sampler:
    where = "cpu" if device is None else device
    given = {"seed": 11, "columns": COLUMNS, "group": None, **options}
    return ds.Sampler(N, POLICIES[name], SMALL_BATCH, device=where, **given)


@pytest.mark.parametrize("subset", [False, True], ids=["all", "subset"])
@pytest.mark.parametrize("name", POLICIES)
def test_a_run_on_a_device_is_that_of_the_cpu(device: Device, name: str, subset: bool) -> None:
    options = {"subset": np.flatnonzero(np.arange(N) % 3)} if subset else {}
    expected = train(sampler_on(None, name, **options), None)
    assert train(sampler_on(device, name, **options), device) == expected


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("placement", ["replicated", "sharded"])
@pytest.mark.parametrize("name", ["kakurenbo", "infobatch", "importance", "forgetting", "weighted",
                                  "importance without replacement", "selective backprop",
                                  "random subset"])  # fmt: skip
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


def test_what_was_not_issued_is_left_out_and_raised_at_the_boundary(device: Device) -> None:
    sampler = sampler_on(device, "kakurenbo")
    sampler.set_epoch(0)
    ids = next(iter(sampler))
    seen = {name: device.put(value) for name, value in signals(ids, 0).items()}
    sampler.observe(device.put(ids), **seen)
    sampler.observe(device.put(ids), **seen)
    outside = ids.copy()
    outside[:2] = N + 5, -1
    sampler.observe(device.put(outside), **seen)
    with pytest.raises(ds.sampler.ObservationError, match=f"{2 * len(ids)} observations"):
        sampler.set_epoch(1)
    sampler.set_epoch(1)
    assert int(sampler.table.seen.sum()) == len(ids)


def test_weights_are_gathered_where_the_ids_are_and_keep_their_address(device: Device) -> None:
    sampler = sampler_on(device, "importance")
    places = set()
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for ids in sampler:
            there = sampler.weights(device.put(ids))
            assert there.device == device.torch_device
            assert there.tolist() == sampler.weights(ids).tolist()
            sampler.observe(ids, **signals(ids, epoch))
        places.add(sampler._weights.data_ptr())
    assert len(places) == 1


def test_signals_come_from_logits(device: Device) -> None:
    sampler = sampler_on(device, "kakurenbo", columns={})
    random = np.random.default_rng(5)
    logits = random.standard_normal((N, 7)).astype(np.float32)
    targets = random.integers(0, 7, N)
    sampler.set_epoch(0)
    for ids in sampler:
        there = device.put(logits[ids]), device.put(targets[ids])
        sampler.observe(device.put(ids), logits=there[0], targets=there[1])
    sampler.set_epoch(1)
    np.testing.assert_allclose(
        sampler.table.state()["loss/value"], ds.signals.loss(logits, targets), rtol=1e-5, atol=1e-6
    )


def test_other_devices_are_refused() -> None:
    with pytest.raises(ValueError, match='device must be "cpu", "cuda"'):
        ds.Sampler(10, device="meta", group=None)
