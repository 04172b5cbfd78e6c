"""The page for users of InfoBatch, against the published rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F

import dynsample as ds
from tests import pages

PAGE = "docs/migrate/infobatch.md"
N, EPOCHS = 300, 8


def test_every_epoch_holds_what_the_published_rule_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    epochs: list[dict[int, float]] = [{} for _ in range(EPOCHS)]
    weights: list[dict[int, float]] = [{} for _ in range(EPOCHS)]
    observe = ds.Sampler.observe

    def noted(sampler: ds.Sampler, index: Any, *, loss: torch.Tensor) -> None:
        rows = zip(index.tolist(), loss.tolist(), sampler.weights(index).tolist(), strict=True)
        for i, value, weight in rows:
            assert i not in epochs[sampler.epoch]
            epochs[sampler.epoch][i], weights[sampler.epoch][i] = value, weight
        observe(sampler, index, loss=loss)

    monkeypatch.setattr(ds.Sampler, "observe", noted)
    images, labels = torch.randn(N, 6), torch.arange(N) % 3
    model = torch.nn.Linear(6, 3)
    (code,) = pages.blocks(PAGE, "diff")
    given = {
        "train_set": torch.utils.data.TensorDataset(images, labels), "model": model, "F": F,
        "optimizer": torch.optim.SGD(model.parameters(), 0.5), "num_epochs": EPOCHS,
    }  # fmt: skip
    pages.run(PAGE, [pages.after(code)], given)
    last = np.full(N, np.nan)
    for epoch, losses in enumerate(epochs):
        pruned = 0 < epoch < int(0.875 * EPOCHS)
        well = set(np.flatnonzero(last < last.mean()).tolist()) if pruned else set()
        kept = well & set(losses)
        assert set(losses) - well == set(range(N)) - well
        assert len(kept) == int(0.5 * len(well))
        for i, weight in weights[epoch].items():
            assert weight == pytest.approx(len(well) / len(kept) if i in kept else 1)
        for i, value in losses.items():
            last[i] = value
    assert len(epochs[1]) < N == len(epochs[-1])
