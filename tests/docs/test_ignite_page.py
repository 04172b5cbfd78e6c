"""The page for users of pytorch-ignite: an Engine goes through the epochs of a plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("ignite.engine", reason="pytorch-ignite is not installed")

import torch
from ignite.distributed.auto import DistributedProxySampler
from ignite.engine import Engine, Events

import dynsample as ds
from dynsample.torch import DataLoader
from tests import pages
from tests.docs.noted import BATCH, EPOCHS, N, Noted, Stopped, samples, up_and_down

PAGE = "docs/migrate/ignite.md"
(TRAIN,) = pages.blocks(PAGE)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Noted, Engine]]:
    """Return the function of the page, with smaller batches and epochs that differ more."""
    code = TRAIN.replace("ds.Kakurenbo(fraction=0.3)", "up_and_down()")
    code = code.replace("batch_size=32", f"batch_size={BATCH}").replace("num_workers=2", "")
    Noted.made = []
    monkeypatch.setattr(ds, "Sampler", Noted)
    found: Callable[..., Any] = pages.run(PAGE, [code], {"up_and_down": up_and_down})["train"]
    return found


def test_an_engine_goes_through_the_epochs_of_the_plan(
    train: Callable[..., tuple[Noted, Engine]],
) -> None:
    sampler, trainer = train(torch.nn.Linear(3, 3), samples(), EPOCHS)
    sampler.check()
    assert trainer.state.epoch == EPOCHS
    assert trainer.state.iteration == sum(sampler.num_batches)


@pytest.mark.parametrize("stop", [5, 14, 18, 30], ids=["1st", "2nd", "hidden", "3rd"])
def test_a_run_goes_on_where_it_was(
    train: Callable[..., tuple[Noted, Engine]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stop: int,
) -> None:
    net, dataset = torch.nn.Linear(3, 3), samples()
    monkeypatch.setattr(Noted, "stop", stop)
    with pytest.raises(Stopped):
        train(net, dataset, EPOCHS)
    (before,) = Noted.made
    before.save(tmp_path / "sampler")
    monkeypatch.setattr(Noted, "stop", -1)
    after, trainer = train(net, dataset, EPOCHS, checkpoint=tmp_path / "sampler")
    for epoch, (_, *lists) in before.epochs.items():
        for earlier, later in zip(lists, after.epochs.get(epoch, (None, [], []))[1:], strict=True):
            later[:0] = earlier
    after.epochs = {**before.epochs, **after.epochs}
    after.check()
    assert trainer.state.epoch == EPOCHS


def learn(sampler: ds.Sampler) -> Engine:
    """Return an engine without the handlers of the page."""

    def step(_: Engine, batch: Any) -> None:
        images, labels, index = batch
        sampler.observe(index, logits=images, targets=labels)

    return Engine(step)


def test_without_the_handlers_one_is_told_that_epochs_differ() -> None:
    sampler = ds.Sampler(N, ds.InfoBatch(ratio=0.9, epochs=9), BATCH)
    with pytest.warns(RuntimeWarning, match=r"has \d+ batches, and len\(\) said 12 before"):
        learn(sampler).run(DataLoader(samples(), sampler=sampler), max_epochs=3)


@pytest.mark.parametrize(
    ("anew", "refused"), [(False, "epoch 0 was left while"), (True, "epoch 1 is used up")]
)
def test_a_handler_that_is_left_out_is_an_error(anew: bool, refused: str) -> None:
    sampler = ds.Sampler(N, ds.InfoBatch(ratio=0.9, epochs=9), BATCH)
    trainer, loader = learn(sampler), DataLoader(samples(), sampler=sampler)

    @trainer.on(Events.EPOCH_STARTED)
    def begin() -> None:
        sampler.set_epoch(trainer.state.epoch - 1)
        if anew:
            trainer.set_data(loader)

    with pytest.raises(RuntimeError, match=refused):
        trainer.run(loader, max_epochs=3)


def test_a_sampler_in_the_wrong_place_is_refused() -> None:
    sampler = ds.Sampler(N, batch_size=BATCH)
    loader = torch.utils.data.DataLoader(samples(), BATCH, sampler=sampler)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="as batch_sampler=, not as sampler="):
        learn(sampler).run(loader)
    with pytest.raises(TypeError, match="should be instance of torch Sampler"):
        DistributedProxySampler(sampler, num_replicas=2, rank=0)  # as auto_dataloader does
