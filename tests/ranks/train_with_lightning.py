"""Fit with Lightning on devices that it starts, and go on from every checkpoint of an epoch.

`python -m tests.ranks.train_with_lightning FOLDER STRATEGY [RESUMED]`: whether to go on from them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

import dynsample as ds
from dynsample.lightning import SamplerCallback
from dynsample.torch import IndexSampler

N, BATCH, EPOCHS, STOPPED = 53, 3, 4, 1


class Samples(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.tensor([index / N]), index


def schedule(epoch: int) -> float:
    """Return what part of the fraction an epoch hides: they shrink, and grow again."""
    return 0.3 if epoch == 2 else 1.0


class Model(lightning.LightningModule):
    def __init__(self, sampler: ds.Sampler, path: Path, num_workers: int = 0) -> None:
        super().__init__()
        self.net = torch.nn.Linear(1, 1)
        self.sampler, self.path, self.num_workers = sampler, path, num_workers
        self.records: list[tuple[int, str, list[int]]] = []
        self.surplus: list[float] = []

    def train_dataloader(self) -> Any:
        order = IndexSampler(self.sampler)
        return torch.utils.data.DataLoader(
            Samples(), BATCH, sampler=order, num_workers=self.num_workers
        )

    def _step(self, batch: Any, kind: str) -> torch.Tensor:
        x, index = batch
        kept = kind == "kept"
        assert (self.training, self.net.training, torch.is_grad_enabled()) == (kept, kept, kept)
        ones = torch.ones(len(index))
        loss = ((index * 7 + self.sampler.epoch * 5) % 11).float()
        self.sampler.observe(index, loss=loss, correct=ones, confidence=ones)
        self.records.append((self.sampler.epoch, kind, index.tolist()))
        return self.net(x).mean()

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        return self._step(batch, "kept")

    def hidden_step(self, batch: Any, _: int) -> None:
        self._step(batch, "hidden")

    def on_train_epoch_end(self) -> None:
        self.surplus.append(self.sampler.stats["surplus"])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_fit_end(self) -> None:
        sampler = self.sampler
        end = (sampler.epoch, sampler.plan.digest, sampler.table["loss"].tolist())
        place = self.path / f"{self.global_rank}.json"
        place.parent.mkdir(exist_ok=True)
        place.write_text(json.dumps([self.records, self.surplus, end]))


def make_sampler() -> ds.Sampler:
    policy = ds.Kakurenbo(fraction=0.4, tau=0.0, schedule=schedule)
    return ds.Sampler(N, policy, BATCH, seed=5, issue="external")


def fit(path: Path, strategy: str, callbacks: list[Any], checkpoint: Path | None = None) -> None:
    sampler = make_sampler()
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        max_epochs=EPOCHS,
        default_root_dir=str(path),
        callbacks=[*callbacks, SamplerCallback(sampler)],
        enable_checkpointing=bool(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    num_workers = 0 if checkpoint else 1  # which asks for ids before the epoch begins
    trainer.fit(Model(sampler, path, num_workers), ckpt_path=checkpoint)


def main() -> None:
    folder, strategy = Path(sys.argv[1]), sys.argv[2]
    saved = folder / "saved"
    name = "{epoch}-{step}"
    steps = ModelCheckpoint(saved, name, every_n_train_steps=1, save_top_k=-1)
    ends = ModelCheckpoint(saved, f"{name}-end", save_top_k=-1, save_on_train_epoch_end=True)
    fit(folder / "whole", strategy, [steps, ends] if len(sys.argv) > 3 else [])
    for path in sorted(saved.glob(f"epoch={STOPPED}-*")):
        fit(folder / path.stem, strategy, [], path)
    if strategy == "ddp":
        torch.distributed.barrier()
        os._exit(0)  # threads of gloo can abort a process that unwinds


if __name__ == "__main__":
    main()
