"""The page for users of timm's and torchvision's scripts: epochs hold what was planned."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from dynsample.torch import DataLoader
from tests import pages

PAGE = "docs/migrate/trainers.md"
N = 90
IMPORTS, HIDDEN, TIMM, TORCHVISION = pages.blocks(PAGE)


def named_by_timm(loader: DataLoader, epoch: int) -> None:
    """Name an epoch where timm's script looks for a way to, and nowhere else."""
    for part in (loader.dataset, loader.batch_sampler):
        if hasattr(part, "set_epoch"):
            part.set_epoch(epoch)


@pytest.mark.parametrize("script", ["timm", "torchvision"])
def test_epochs_train_on_what_is_kept_and_look_at_the_rest(script: str) -> None:
    labels = torch.arange(N) % 3
    images = torch.randn(N, 3) + 3 * torch.nn.functional.one_hot(labels, 3)
    dataset = torch.utils.data.TensorDataset(images, labels)
    args = argparse.Namespace(
        batch_size=8, seed=1, workers=0, pin_mem=False, warmup_epochs=1, lr_warmup_epochs=1
    )
    given = {"args": args, "dataset_train": dataset, "dataset": dataset}
    block = TIMM if script == "timm" else TORCHVISION.replace(", pin_memory=True", "")
    names: dict[str, Any] = pages.run(PAGE, [IMPORTS, HIDDEN, block], given)
    sampler = names["sampler"]
    loader = names["loader_train" if script == "timm" else "data_loader"]
    model = torch.nn.Linear(3, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    observe, seen = sampler.observe, {True: [], False: []}

    def noted(index: torch.Tensor, **more: Any) -> None:
        seen[model.training] += index.tolist()
        observe(index, **more)

    sampler.observe = noted
    hidden = []
    for epoch in range(4):
        if script == "timm":
            named_by_timm(loader, epoch)
        else:
            sampler.set_epoch(epoch)
        assert sampler.epoch == epoch
        assert len(loader) == -(-sampler.plan.num_positions // 8)
        seen[True], seen[False] = [], []
        for batch, targets, index in loader:
            losses = torch.nn.functional.cross_entropy(model(batch), targets, reduction="none")
            sampler.observe(index, logits=model(batch), targets=targets)
            optimizer.zero_grad()
            (sampler.weights(index) * losses).mean().backward()
            with names["scaled_lr"](optimizer, sampler.lr_scale):
                assert optimizer.param_groups[0]["lr"] == 0.5 * (1 if epoch < 1 else 1 / 0.7)
                optimizer.step()
        names["look_at_hidden"](model, loader, sampler, "cpu")
        assert sorted(seen[True]) == sorted(sampler.plan.order.tolist())
        assert sorted(seen[False]) == sorted(sampler.plan.hidden.tolist())
        hidden.append(len(seen[False]))
    assert hidden[0] == 0 < max(hidden)
