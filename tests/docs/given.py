"""What the pages take as given: the names of a training script, and the files of a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import dynsample as ds
from dynsample.torch import DataLoader, scaled_lr
from tests import pages

N, CLASSES = 120, 3


class Pairs(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """A data set of three classes, as a classifier's."""

    targets = tuple(np.arange(N) % CLASSES)

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((6,), float(self.targets[index])), int(self.targets[index])


def script(policy: ds.Policy | None = None, **others: Any) -> dict[str, Any]:
    """Names of a training script that is about to make a step, its first batch in hand."""
    train_set = Pairs()
    policy = ds.Kakurenbo() if policy is None else policy
    sampler = ds.Sampler(N, policy, batch_size=12, seed=0, columns=others.pop("columns", None))
    loader = DataLoader(train_set, sampler=sampler)
    images, targets, index = next(iter(loader))
    hidden, norm, head = torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3)
    model = torch.nn.Sequential(hidden, norm, head)
    logits = model(images)
    return {
        "ds": ds, "np": np, "torch": torch, "F": F, "scaled_lr": scaled_lr, "train_set": train_set,
        "sampler": sampler, "loader": loader, "model": model, "images": images, "targets": targets,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "index": index, "logits": logits,
        "losses": F.cross_entropy(logits, targets, reduction="none"), **others,
    }  # fmt: skip


def file_list(num_samples: int = N, classes: int = CLASSES) -> None:
    """Write `file_list.txt`, the list of a tree of class folders."""
    lines = [f"/c{i % classes}/{i:02}.jpeg {i % classes}\n" for i in range(num_samples)]
    Path("file_list.txt").write_text("".join(lines))


def images() -> None:
    """Write `train`, a tree of class folders, and its list."""
    from PIL import Image

    random = np.random.default_rng(0)
    file_list()
    for line in Path("file_list.txt").read_text().splitlines():
        path = Path("train" + line.split()[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(path)


def scores() -> None:
    """Write scores of ten runs as Data Diet does, and probabilities of 14 epochs as Dyn-Unc."""
    random = np.random.default_rng(0)
    for run in range(10):
        folder = Path(f"exps/EXP/run_{run}/error_l2_norm_scores")
        folder.mkdir(parents=True)
        np.save(folder / "ckpt_7800.npy", random.random(N, np.float32))
    for epoch in range(14):
        values = random.random(N, np.float32)
        ds.coreset.write_probabilities(".", epoch, values, np.ones(N, bool))
    file_list()


def report() -> None:
    """Write what a run by the sampler of docs/inspect.md reports, and the images that it saw."""
    page = "docs/inspect.md"
    sampler = pages.run(page, pages.blocks(page), {"ds": ds, "num_samples": N})["sampler"]
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for samples in (sampler, sampler.hidden):
            for index in samples:
                loss = (index * 7919 + epoch * 31) % 241 / 241
                right = (loss < 0.5).astype(np.float32)
                sampler.observe(
                    index, loss=loss.astype(np.float32), correct=right, confidence=right
                )
    images()


def study() -> None:
    """Copy the study of this checkout."""
    shutil.copytree(pages.ROOT / "bench/results/study", "study")
