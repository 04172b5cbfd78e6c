"""The page on frameworks that own the sampler: its code trains, and goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed")

import torch  # noqa: E402

from tests import pages  # noqa: E402

PAGE = "docs/frameworks.md"
N = 90
SETUP, TRAIN, SAVE, LOAD, LIGHTNING, GRAIN, GRAIN_LOAD = pages.blocks(PAGE)


class Indexed(torch.utils.data.TensorDataset):
    seen: list[int]

    def __getitem__(self, i: int) -> tuple[Any, ...]:
        self.seen.append(i)
        return (*super().__getitem__(i), i)


def given(path: Path) -> dict[str, Any]:
    labels = torch.arange(N) % 3
    dataset = Indexed(torch.randn(N, 3) + 3 * torch.nn.functional.one_hot(labels, 3), labels)
    dataset.seen = []
    model = torch.nn.Linear(3, 3)
    return {
        "dataset": dataset,
        "accelerator": accelerate.Accelerator(cpu=True),
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "path": path,
        "epochs": 4,
    }


def test_the_code_of_the_page_trains_saves_and_goes_on(tmp_path: Path) -> None:
    names = pages.run(PAGE, [SETUP, TRAIN], given(tmp_path))
    sampler = names["sampler"]
    for epoch in range(2):
        names["train_epoch"](epoch)
        assert len(sampler.outstanding) == 0
    names["loader"].set_epoch(2)
    images, labels, index = next(iter(names["loader"]))
    sampler.observe(index, logits=names["model"](images), targets=labels)
    exec(SAVE, names)
    again = given(tmp_path)
    resumed = pages.run(PAGE, [SETUP, TRAIN, LOAD], again)
    assert resumed["sampler"].epoch == 3
    plan = sampler.plan
    assert plan.num_hidden > 0
    kept = again["dataset"].seen[: plan.num_positions - len(index)]
    assert sorted([*kept, *index.tolist()]) == sorted(plan.order.tolist())


@pytest.mark.filterwarnings("ignore")  # advice of Lightning
def test_the_code_for_lightning_trains_and_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("lightning", reason="Lightning is not installed")
    names = given(tmp_path)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    names["hardware"] = {"accelerator": "cpu", "devices": 1, **quiet}
    fit = pages.run(PAGE, [LIGHTNING], names)["fit"]
    net, dataset = names["model"], names["dataset"]
    done = fit(net, dataset, tmp_path)
    sampler = done.lightning_module.sampler
    assert (done.current_epoch, sampler.epoch) == (4, 4)
    assert sampler.table.seen.all()
    [path] = tmp_path.rglob("*.ckpt")
    assert fit(net, dataset, tmp_path, path).lightning_module.sampler.epoch == 4


def digits(path: Path) -> dict[str, Any]:
    grain = pytest.importorskip("grain", reason="Grain is not installed")
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    labels = np.arange(N) % 3
    images = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32) + 3 * np.eye(3)[labels]
    source = grain.MapDataset.source([*zip(images.astype(np.float32), labels, strict=True)])
    return {"source": source, "params": jax.numpy.zeros((3, 3)), "path": path, "epochs": 4}


def test_the_code_for_grain_trains_and_goes_on(tmp_path: Path) -> None:
    names = pages.run(PAGE, [GRAIN], digits(tmp_path))
    sampler, params = names["sampler"], names["params"]
    saved: list[Any] = []

    def save(params: Any, position: Any) -> None:
        if not saved:
            sampler.save(tmp_path)
            saved.extend([params, position])

    for epoch in range(4):
        params = names["train_epoch"](params, epoch, save=save if epoch == 2 else None)
        assert len(sampler.outstanding) == 0
    assert sampler.plan.num_hidden > 0
    resumed = pages.run(PAGE, [GRAIN], digits(tmp_path))
    resumed.update(params=saved[0], position=saved[1])
    exec(GRAIN_LOAD, resumed)
    assert resumed["sampler"].epoch == 3
    assert resumed["sampler"].stats["surplus"] == 0
    assert resumed["params"].tolist() == params.tolist()
    images, labels = (np.stack(each) for each in zip(*names["source"], strict=True))
    assert ((images @ params).argmax(1) == labels).mean() > 0.9
