"""What a training script does with a sampler on a device, and a table there alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import dynsample as ds
from dynsample.kernels.cuda import Device
from dynsample.plan.cuda import build_device_plan
from dynsample.plan.plan import build_plan
from dynsample.plan.selection import Selection

torch = pytest.importorskip("torch")

from device_runs import (  # noqa: E402
    COLUMNS,
    EPOCHS,
    N,
    Squares,
    sampler_on,
    signals,
    train,
)

from dynsample.kernels.cuda.backend import OnDevice  # noqa: E402


def test_a_table_alone_folds_at_once(device: Device) -> None:
    there = ds.ScoreTable(50, COLUMNS, arrays=OnDevice(device))
    here = ds.ScoreTable(50, COLUMNS)
    random = np.random.default_rng(1)
    for _ in range(5):
        ids = random.integers(0, 50, 30)
        seen = signals(ids, 1)
        here.observe(ids, **seen)
        there.observe(device.put(ids), **{name: device.put(x) for name, x in seen.items()})
    with pytest.raises(IndexError, match=r"index must be in \[0, 50\), got 50"):
        there.observe(device.put(ids + 50 - ids), **seen)
    imported = random.random(50).astype(np.float32)
    for table, values in ((here, imported), (there, device.put(imported))):
        table.set_column("mean", values)
        table.set_column("el2n", values)
    for name, array in here.state().items():
        np.testing.assert_array_equal(there.state()[name], array, err_msg=name)
    for name in here:
        np.testing.assert_array_equal(there[name].cpu().numpy(), here[name], err_msg=name)
    again = ds.ScoreTable(50, COLUMNS, arrays=OnDevice(device))
    again.load(here.state())
    assert again.state().keys() == here.state().keys()


@pytest.mark.skipif(not hasattr(torch.library, "custom_op"), reason="torch before 2.4")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_step_observes_without_a_graph_break(device: Device) -> None:
    sampler, eager = sampler_on(device, "kakurenbo"), sampler_on(device, "kakurenbo")
    torch._dynamo.reset()

    def step(sampler: ds.Sampler, ids: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor):
        weights = sampler.weights(ids)
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        sampler.observe(ids, logits=logits, targets=labels, reward=weights)
        return (loss * weights).mean()

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    random = np.random.default_rng(5)
    logits = random.standard_normal((N, 7)).astype(np.float32)
    labels = random.integers(0, 7, N)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        eager.set_epoch(epoch)
        for ids, same in zip(sampler, eager, strict=True):
            assert ids.tolist() == same.tolist()
            batch = device.put(ids), device.put(logits[ids]), device.put(labels[ids])
            assert float(compiled(sampler, *batch)) == float(step(eager, *batch))
    sampler.run.observations.log.close()
    eager.run.observations.log.close()
    assert sampler.run.observations.log.rows.tolist() == eager.run.observations.log.rows.tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_hands_out_what_a_device_planned(device: Device, workers: int) -> None:
    from dynsample.torch import DataLoader

    def epochs(there: Device | None) -> list[list[int]]:
        sampler = sampler_on(there, "infobatch")
        found: list[list[int]] = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            found.append([])
            for _, index in DataLoader(Squares(), sampler=sampler, num_workers=workers):
                found[-1] += index.tolist()
                sampler.observe(index, **signals(index.numpy(), epoch))
        return found

    assert epochs(device) == epochs(None)


def test_a_report_is_that_of_the_cpu(device: Device, tmp_path: Path) -> None:
    folders = {"here": None, "there": device}
    for folder, where in folders.items():
        train(sampler_on(where, "kakurenbo", report=tmp_path / folder), where)
    here, there = ((tmp_path / folder / "epochs.jsonl").read_text() for folder in folders)
    assert len(here.splitlines()) == len(there.splitlines()) == EPOCHS
    for line, other in zip(here.splitlines(), there.splitlines(), strict=True):
        one, two = json.loads(line), json.loads(other)
        assert one.keys() == two.keys()
        for name in one.keys() - {"stats", "previous", "cost", "seconds"}:
            assert one[name] == two[name], name


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
    with pytest.raises(ds.sampler.ObservationError, match=f"{2 * len(ids)} observations") as raised:
        sampler.set_epoch(1)
    assert f"2 had ids out of [0, {N}), the first {N + 5}" in str(raised.value)
    sampler.set_epoch(1)
    assert int(sampler.table.seen.sum()) == len(ids)


def test_what_was_refused_is_named_by_a_save(device: Device, tmp_path: Path) -> None:
    sampler = sampler_on(device, "kakurenbo")
    sampler.set_epoch(0)
    ids = next(iter(sampler)) + N
    sampler.observe(device.put(ids), **signals(ids, 0))
    with pytest.warns(RuntimeWarning, match=f"not saved: {len(ids)} had ids out of"):
        sampler.save(tmp_path / "state", consumed=1)
    again = sampler_on(device, "kakurenbo")
    again.load(tmp_path / "state")
    assert not len(again.run.observations.log)


def test_an_epoch_that_is_not_open_is_refused_with_logits_too(device: Device) -> None:
    sampler = ds.Sampler(N, ds.Kakurenbo(), device=device)
    sampler.set_epoch(0)
    ids = next(iter(sampler))
    given = {"logits": torch.zeros(len(ids), 3), "targets": torch.zeros(len(ids), dtype=torch.long)}
    with pytest.raises(ValueError, match="epoch must be one whose plan is open, of 0, got 7"):
        sampler.observe(ids, epoch=7, **given)
    sampler.observe(ids, epoch=0, **given)
    assert len(sampler.run.observations.log) == len(ids)


def test_rows_of_ids_on_the_host_are_worked_out_once(device: Device) -> None:
    sampler = ds.Sampler(N, ds.ImportanceSampling(), 8, subset=range(0, N, 2), device=device)
    sampler.set_epoch(0)
    before = sampler.run.ids
    for ids in sampler:
        assert sampler.weights(ids).shape == ids.shape
    assert sampler.run.ids is before


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
        places.add(sampler.run.observations.weights.data_ptr())
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


def test_a_selection_of_another_kind_or_place_is_refused(device: Device) -> None:
    for hidden, found in (
        (np.zeros(5, np.bool_), "a ndarray"),
        (torch.zeros(5, dtype=torch.bool, device="meta"), "meta"),
    ):
        with pytest.raises(ValueError, match=f"hidden must be a tensor on .*, got {found}"):
            build_device_plan(Selection(hidden=hidden), 5, device, seed=0, epoch=0)
    with pytest.raises(TypeError, match=r"selection\.hidden must have dtype bool, got float32"):
        build_device_plan(Selection(hidden=device.full(5, 1.0)), 5, device, seed=0, epoch=0)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32])
def test_counts_of_any_integers_make_a_plan(device: Device, dtype: type) -> None:
    counts = np.array([0, 2, 1, 0, 3], dtype)
    expected = build_plan(Selection(counts=counts), 5, seed=0, epoch=0)
    found = build_device_plan(Selection(counts=device.put(counts)), 5, device, seed=0, epoch=0)
    assert found.order.tolist() == expected.order.tolist()


def test_other_devices_are_refused() -> None:
    with pytest.raises(ValueError, match='device must be "cpu", "cuda"'):
        ds.Sampler(10, device="meta", group=None)
