"""The code of docs/dali.md: DALI's dynamic mode, fed by a sampler."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvidia.dali")
pytest.importorskip("nvidia.dali.experimental.dynamic", reason="this DALI has no dynamic mode")

import torch
from images import read_ids, write_tree

from tests import pages

PAGE = "docs/dali.md"
N, BATCH, EPOCHS = 53, 8, 4


class Seeing(torch.nn.Module):
    """A linear model that notes which samples it was shown, by their pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3 * 64 * 64, 3)
        self.seen: list[int] = []

    def forward(self, images: torch.Tensor) -> Any:
        pixels = (images * 128 + 128).round().to(torch.uint8).permute(0, 2, 3, 1)
        self.seen += read_ids(pixels.contiguous().numpy()).tolist()
        return self.linear(images.flatten(1))


def test_dynamic_mode_shows_every_sample_that_is_planned_and_no_other(tmp_path: Any) -> None:
    torch.manual_seed(0)
    model = Seeing()
    given: dict[str, Any] = {
        "root": write_tree(tmp_path / "tree", N).root,
        "batch_size": BATCH,
        "device": "cpu",
        "size": [64, 64],
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.01),
        "epochs": EPOCHS,
    }
    names = pages.run(PAGE, pages.blocks(PAGE), given)
    sampler = names["sampler"]
    assert sampler.epoch == EPOCHS - 1
    assert sampler.plan.num_hidden > 0
    assert sampler.lr_scale > 1
    shown = np.reshape(model.seen, (EPOCHS, N))  # both passes of an epoch show all
    np.testing.assert_array_equal(np.sort(shown, axis=1), np.tile(np.arange(N), (EPOCHS, 1)))
    kept = sampler.plan.num_positions
    np.testing.assert_array_equal(shown[-1][:kept], sampler.plan.order)
    np.testing.assert_array_equal(np.sort(shown[-1][kept:]), sampler.plan.hidden)
