"""Train with a loader that Accelerate prepared, and save in the middle of an epoch when told to.

`python -m tests.ranks.train_with_accelerate FOLDER [STEP]`: of epoch 1, under torchrun. What is
saved in the folder is gone on from.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import accelerate
import torch

import dynsample as ds
from dynsample.torch import IndexSampler

N, BATCH, EPOCHS = 53, 5, 3


class Samples(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.tensor([index / N]), index


def observe(sampler: ds.Sampler, index: torch.Tensor) -> None:
    ones = torch.ones(len(index))
    sampler.observe(index, loss=(index * 7 % 11).float(), correct=ones, confidence=ones)


def main() -> None:
    folder, saved = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None
    accelerator = accelerate.Accelerator(cpu=True)
    name = f"{accelerator.num_processes}-{accelerator.process_index}.json"
    policy = ds.Kakurenbo(fraction=0.4, tau=0.0)
    sampler = ds.Sampler(N, policy, BATCH, seed=5, issue="external")
    model = torch.nn.Linear(1, 1)
    loaders = [
        torch.utils.data.DataLoader(
            Samples(), BATCH, sampler=IndexSampler(sampler, hidden=hidden), num_workers=2
        )
        for hidden in (False, True)
    ]
    model, optimizer, loader, hidden_loader = accelerator.prepare(
        model, torch.optim.SGD(model.parameters(), lr=0.1), *loaders
    )
    if (folder / "state").exists():
        sampler.load(folder / "state")
    records = []
    for epoch in range(sampler.epoch, EPOCHS):
        loader.set_epoch(epoch)
        for step, (x, index) in enumerate(loader):
            accelerator.backward((sampler.weights(index) * model(x)[:, 0]).mean())
            optimizer.step()
            observe(sampler, index)
            records.append((epoch, "kept", index.tolist()))
            if (epoch, step) == (1, saved):
                sampler.save(folder / "state")
                (folder / f"saved-{name}").write_text(json.dumps(records))
        for _, index in hidden_loader:
            observe(sampler, index)
            records.append((epoch, "hidden", index.tolist()))
        sampler.set_epoch(epoch + 1)
        records.append((epoch, "surplus", [int(sampler.stats["surplus"])]))
    records.append((sampler.plan.digest, sampler.table["loss"].tolist()))
    (folder / name).write_text(json.dumps(records))
    accelerator.wait_for_everyone()
    os._exit(0)  # threads of gloo can abort a process that unwinds


if __name__ == "__main__":
    main()
