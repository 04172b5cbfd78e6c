"""Loaders in the hands of torchdata, Lightning and Accelerate."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch

import dynsample as ds
from dynsample.torch import DataLoader, scaled_lr

N, BATCH = 53, 8

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning",
    "ignore:'set_vital' is deprecated:UserWarning",  # torchdata on torch 2.13
)


class Samples(torch.utils.data.Dataset[Any]):
    """Two classes on a line; a sample is its own id."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.tensor([i / N - 0.5]), int(i % 3 == 0)


class SamplesWithIndex(Samples):
    def __getitem__(self, i: int) -> tuple[torch.Tensor, int, int]:  # type: ignore[override]
        return (*super().__getitem__(i), int(i))


def make_sampler() -> ds.Sampler:
    return ds.Sampler(N, ds.Kakurenbo(fraction=0.4, tau=0.0), batch_size=BATCH, seed=5)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stateful_data_loader_resumes_at_any_batch_from_a_state_of_fixed_size(
    num_workers: int,
) -> None:
    torchdata = pytest.importorskip("torchdata.stateful_dataloader")

    def open_loader() -> Any:
        sampler = ds.Sampler(N, batch_size=BATCH, seed=5)
        return torchdata.StatefulDataLoader(
            SamplesWithIndex(), batch_sampler=sampler, num_workers=num_workers
        )

    loader = open_loader()
    for _ in loader:  # epoch 0
        pass
    states, order = [], []
    for _, _, index in loader:
        states.append(json.dumps(loader.state_dict(), default=str))
        order.append(index.tolist())
    assert len({len(state) for state in states}) <= 2  # one or two digits
    loader = open_loader()
    loader.load_state_dict(json.loads(states[3]))
    assert [index.tolist() for *_, index in loader] == order[4:]


WORKERS = [{"num_workers": 0}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}]


@pytest.mark.parametrize("workers", WORKERS, ids=["no workers", "workers", "persistent"])
@pytest.mark.parametrize("taken", ["at the last batch", "after the loop"])
@pytest.mark.parametrize("rows", [16, N], ids=["all drawn ahead", "some drawn ahead"])
def test_a_stateful_data_loader_loses_nothing_at_the_border_of_an_epoch(
    workers: dict[str, Any], taken: str, rows: int
) -> None:
    torchdata = pytest.importorskip("torchdata.stateful_dataloader")

    def open_loader() -> tuple[ds.Sampler, Any]:
        sampler = ds.Sampler(rows, batch_size=BATCH, seed=5)
        samples = torch.utils.data.Subset(SamplesWithIndex(), range(rows))
        return sampler, torchdata.StatefulDataLoader(samples, batch_sampler=sampler, **workers)

    sampler, loader = open_loader()
    sampler.set_epoch(2)
    for batch, _ in enumerate(loader, 1):
        if batch == len(sampler):
            state = loader.state_dict()
    if taken == "after the loop":
        state = loader.state_dict()

    sampler, loader = open_loader()
    loader.load_state_dict(state)
    sampler.set_epoch(2)  # is finished
    assert list(loader) == []
    sampler.set_epoch(3)
    assert [i for *_, index in loader for i in index.tolist()] == sampler.plan.order.tolist()

    sampler, loader = open_loader()
    loader.load_state_dict(state)
    sampler.set_epoch(3)
    with pytest.warns(RuntimeWarning, match=r"a state of epoch 2 came after set_epoch\(3\)"):
        found = [i for *_, index in loader for i in index.tolist()]
    assert found == sampler.plan.order.tolist()


def test_the_state_of_a_stateful_data_loader_does_not_grow_with_the_data_set() -> None:
    pytest.importorskip("torchdata")
    sizes = []
    for n in (1_000, 1_000_000):
        batches = iter(ds.Sampler(n, batch_size=100))
        next(batches)
        sizes.append(len(json.dumps(batches.state_dict())))
    assert sizes[1] - sizes[0] <= 6  # digits


def trainer(lightning: Any, **options: Any) -> Any:
    return lightning.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def linear(lightning: Any) -> Any:
    """Return a Lightning module without a training step."""

    class Linear(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(1, 2)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Linear


def test_lightning_trains_on_the_planned_samples(lightning: Any) -> None:
    sampler = make_sampler()
    loader = DataLoader(Samples(), sampler=sampler)
    received: dict[int, list[int]] = {}
    planned: dict[int, list[int]] = {}

    class Model(linear(lightning)):  # type: ignore[misc]
        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            x, y, index = batch
            received.setdefault(self.current_epoch, []).extend(index.tolist())
            planned[self.current_epoch] = sampler.plan.order.tolist()
            logits = self.net(x)
            loss = torch.nn.functional.cross_entropy(logits, y, reduction="none")
            sampler.observe(index, logits=logits, targets=y)
            return (sampler.weights(index) * loss).mean()

        def optimizer_step(self, epoch: int, batch: int, optimizer: Any, closure: Any) -> None:
            with scaled_lr(optimizer, sampler.lr_scale):
                optimizer.step(closure=closure)

        def on_train_epoch_end(self) -> None:
            with torch.no_grad():
                for x, y, index in loader.hidden():
                    sampler.observe(index, logits=self.net(x), targets=y)
            sampler.set_epoch(self.current_epoch + 1)

    run = trainer(lightning, max_epochs=4, reload_dataloaders_every_n_epochs=1)
    run.fit(Model(), loader)
    assert received == planned
    assert sorted(received) == [0, 1, 2, 3]
    assert len(received[0]) == N > len(received[1])


def test_lightning_that_would_replace_the_sampler_is_told_what_to_set(lightning: Any) -> None:
    class Model(linear(lightning)):  # type: ignore[misc]
        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            return self.net(batch[0]).sum()

    loader = DataLoader(Samples(), sampler=make_sampler())
    with pytest.raises(Exception, match=r"use_distributed_sampler=False"):
        trainer(lightning, max_epochs=1, strategy="ddp").fit(Model(), loader)


@pytest.mark.filterwarnings("ignore:set_epoch.0. after epoch 2")  # which prepare calls
def test_accelerate_trains_with_the_loader_left_out_of_prepare() -> None:
    accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed")
    accelerator = accelerate.Accelerator(cpu=True)
    sampler = make_sampler()
    loader = DataLoader(Samples(), sampler=sampler)
    model = torch.nn.Linear(1, 2)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    for epoch in range(3):
        sampler.set_epoch(epoch)
        ids: list[int] = []
        for x, y, index in loader:
            logits = model(x.to(accelerator.device))
            loss = torch.nn.functional.cross_entropy(logits, y, reduction="none")
            sampler.observe(index, logits=logits, targets=y)
            accelerator.backward((sampler.weights(index) * loss).mean())
            with scaled_lr(optimizer, sampler.lr_scale):
                optimizer.step()
            optimizer.zero_grad()
            ids += index.tolist()
        with torch.no_grad():
            for x, y, index in loader.hidden():
                sampler.observe(index, logits=model(x), targets=y)
        np.testing.assert_array_equal(ids, sampler.plan.order)
    assert sampler.plan.num_hidden > 0
    with pytest.raises(RuntimeError, match=r"leave the loader out of accelerator\.prepare"):
        next(iter(accelerator.prepare(loader)))


def test_parts_of_the_loader_refuse_to_be_iterated_by_another() -> None:
    loader = DataLoader(Samples(), sampler=make_sampler())
    other = torch.utils.data.DataLoader(loader.dataset, batch_sampler=loader.batch_sampler)
    with pytest.raises(RuntimeError, match="another loader was made of the parts"):
        next(iter(other))
    assert len(list(itertools.chain(loader))) == len(loader)
