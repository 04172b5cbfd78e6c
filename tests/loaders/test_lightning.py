"""The callback of Lightning on one device: lengths, hidden samples, checkpoints, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning", reason="Lightning is not installed")

import torch
from lightning.pytorch.callbacks import LearningRateFinder, ModelCheckpoint
from lightning.pytorch.strategies import SingleDeviceStrategy

import dynsample as ds
from dynsample.disk.checkpoint import StateError
from dynsample.lightning import SamplerCallback
from dynsample.torch import IndexSampler
from tests.ranks.train_with_lightning import BATCH, EPOCHS, Model, N, Samples, make_sampler

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.usefixtures("lightning"),
]


def trainer(lightning: Any, path: Path, *callbacks: Any, **options: Any) -> Any:
    return lightning.Trainer(
        **{
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": EPOCHS,
            "default_root_dir": str(path),
            "callbacks": [*callbacks],
            "logger": False,
            "enable_checkpointing": any(isinstance(one, ModelCheckpoint) for one in callbacks),
            "enable_progress_bar": False,
            "enable_model_summary": False,
            **options,
        }
    )


def every_step(path: Path, **options: Any) -> ModelCheckpoint:
    return ModelCheckpoint(path, "{step}", every_n_train_steps=1, save_top_k=-1, **options)


class Validated(Model):
    def val_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(Samples(), N)

    def validation_step(self, batch: Any, _: int) -> None:
        self.log("loss", self.net(batch[0]).mean())


def ids(model: Model, epoch: int, kind: str = "kept") -> list[int]:
    found = [index for number, what, index in model.records if (number, what) == (epoch, kind)]
    return [i for index in found for i in index]


def fit(lightning: Any, path: Path, *callbacks: Any, **options: Any) -> Model:
    """Fit anew, or from `checkpoint`, and return the model with its records."""
    sampler, checkpoint = make_sampler(), options.pop("checkpoint", None)
    kind = options.pop("kind", Model)
    model: Model = kind(sampler, path / "end", options.pop("num_workers", 0))
    run = trainer(lightning, path, *callbacks, SamplerCallback(sampler), **options)
    run.fit(model, ckpt_path=checkpoint)
    return model


def same_end(model: Model, other: Model) -> bool:
    tables = [one.sampler.table["loss"].tobytes() for one in (model, other)]
    return tables[0] == tables[1] and model.sampler.plan.digest == other.sampler.plan.digest


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_epoch_is_trained_on_whole(lightning: Any, num_workers: int, tmp_path: Path) -> None:
    model = fit(lightning, tmp_path, num_workers=num_workers)
    own = ds.Sampler(N, model.sampler.policy, BATCH, seed=5, issue="external")
    for epoch in range(EPOCHS):
        own.set_epoch(epoch)
        assert ids(model, epoch) == own.plan.order.tolist()
        assert sorted(ids(model, epoch, "hidden")) == own.plan.hidden.tolist()
        for what in ("kept", "hidden"):
            for index in (one for n, kind, one in model.records if (n, kind) == (epoch, what)):
                of = torch.tensor(index)
                ones = torch.ones(len(of))
                loss = ((of * 7 + epoch * 5) % 11).float()
                own.observe(of, loss=loss, correct=ones, confidence=ones)
    assert model.sampler.epoch == EPOCHS
    assert model.surplus == [0] * EPOCHS


def test_a_run_goes_on_from_every_checkpoint(lightning: Any, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    ends = ModelCheckpoint(saved, "end-{step}", save_top_k=-1, save_on_train_epoch_end=True)
    whole = fit(lightning, tmp_path, every_step(saved), ends)
    kept = [one for one in whole.records if one[1] == "kept"]
    checkpoints = sorted(saved.iterdir())
    assert len(checkpoints) == len(kept) + EPOCHS
    for path in checkpoints:
        steps = int(path.stem.split("=")[1])
        epoch = kept[steps - 1][0]
        if epoch != 1 and "end" not in path.stem:
            continue
        model = fit(lightning, tmp_path, checkpoint=path)
        assert same_end(model, whole)
        before = [i for number, _, index in kept[:steps] for i in index if number == epoch]
        assert before + ids(model, epoch) == ids(whole, epoch)
        if "end" not in path.stem:
            assert ids(model, epoch, "hidden") == ids(whole, epoch, "hidden")


def test_a_checkpoint_of_the_last_validation_is_before_the_hidden_pass(
    lightning: Any, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    checks = ModelCheckpoint(saved, "{epoch}", save_top_k=-1, save_on_train_epoch_end=False)
    whole = fit(lightning, tmp_path, checks, kind=Validated)
    for strategy in ("auto", Late(device=torch.device("cpu"))):
        path = saved / "epoch=1.ckpt"
        model = fit(lightning, tmp_path, kind=Validated, checkpoint=path, strategy=strategy)
        assert ids(model, 1) == []
        assert ids(model, 1, "hidden") == ids(whole, 1, "hidden") != []
        assert [ids(model, n) for n in (2, 3)] == [ids(whole, n) for n in (2, 3)]
        assert same_end(model, whole)


class Late(SingleDeviceStrategy):
    """A strategy that restores after on_fit_start, as those that shard the model do."""

    restore_checkpoint_after_setup = True


def test_steps_are_counted_over_a_checkpoint(lightning: Any, tmp_path: Path) -> None:
    """Also where an epoch of 18 steps, and the one of 11 after it, are just over."""
    saved = tmp_path / "saved"
    whole = fit(lightning, tmp_path, every_step(saved), max_steps=40, max_epochs=-1)
    kept = [one for one in whole.records if one[1] == "kept"]
    assert len(kept) == 40
    for step in (18, 25, 29):
        path = saved / f"step={step}.ckpt"
        model = fit(lightning, tmp_path, max_steps=40, max_epochs=-1, checkpoint=path)
        assert [one for one in model.records if one[1] == "kept"] == kept[step:]


def test_a_second_fit_goes_on_with_the_right_lengths(lightning: Any, tmp_path: Path) -> None:
    sampler = make_sampler()
    model = Model(sampler, tmp_path / "end")
    run = trainer(lightning, tmp_path, SamplerCallback(sampler), max_epochs=2)
    run.fit(model)
    run.fit_loop.max_epochs = EPOCHS
    run.fit(model)
    whole = fit(lightning, tmp_path)
    assert model.records == whole.records
    again = trainer(lightning, tmp_path, SamplerCallback(sampler), max_epochs=1)
    model.records.clear()
    again.fit(model)
    assert sorted(ids(model, 0) + ids(model, 0, "hidden")) == list(range(N))


def test_a_search_for_a_rate_leaves_no_trace(lightning: Any, tmp_path: Path) -> None:
    class Tuned(Model):
        lr = 0.1

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.lr)

        def on_train_start(self) -> None:
            self.records.clear()

    find = LearningRateFinder(num_training_steps=5, update_attr=False)
    model = fit(lightning, tmp_path, find, kind=Tuned)
    assert len(ids(model, 0)) == N
    assert same_end(model, fit(lightning, tmp_path))


def test_a_hidden_step_may_be_given_and_leaves_modes_alone(lightning: Any, tmp_path: Path) -> None:
    sampler = make_sampler()
    model = Model(sampler, tmp_path / "end")
    model.frozen = torch.nn.Dropout().eval()
    given: list[tuple[bool, int]] = []

    def step(batch: Any, number: int) -> None:
        assert not torch.is_grad_enabled()
        given.append((model.training, number))
        model.hidden_step(batch, number)

    trainer(lightning, tmp_path, SamplerCallback(sampler, step), max_epochs=2).fit(model)
    assert given == [(False, number) for number in range(len(given))] != []
    assert not model.frozen.training


def test_evaluation_leaves_the_sampler_alone(lightning: Any, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    fit(lightning, tmp_path, ModelCheckpoint(saved, "{epoch}", save_top_k=-1))
    sampler = make_sampler()
    model = Validated(sampler, tmp_path)
    run = trainer(lightning, tmp_path, SamplerCallback(sampler))
    run.validate(model, ckpt_path=saved / "epoch=0.ckpt")
    assert sampler.stats == {}


# Refusals


def test_what_would_lose_samples_is_refused(lightning: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"sampler must be a dynsample\.Sampler, got IndexSampler"):
        SamplerCallback(IndexSampler(make_sampler()))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='must be made with issue="external"'):
        SamplerCallback(ds.Sampler(N))
    with pytest.raises(TypeError, match="hidden_step must be callable, got int"):
        SamplerCallback(make_sampler(), 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"reload_dataloaders_every_n_epochs must be 1 .* got 2"):
        fit(lightning, tmp_path, reload_dataloaders_every_n_epochs=2)
    run = trainer(lightning, tmp_path, SamplerCallback(make_sampler()))
    with pytest.raises(ValueError, match="of the sampler that SamplerCallback has"):
        run.fit(Model(make_sampler(), tmp_path))


def test_a_checkpoint_without_a_sampler_is_refused(lightning: Any, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    model = Model(make_sampler(), tmp_path / "end")
    save = ModelCheckpoint(saved, "{step}", every_n_train_steps=1)
    trainer(lightning, tmp_path, save, max_steps=1).fit(model)
    with pytest.raises(StateError, match="saved without SamplerCallback"):
        fit(lightning, tmp_path, checkpoint=saved / "step=1.ckpt")
