"""Train where the ranks are joined after the sampler was made; write which ids each rank got.

`python -m tests.ranks.joined_later FRAMEWORK FOLDER`: lightning and spawn start their ranks
themselves, torchrun starts this.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import dynsample as ds
from dynsample.torch import DataLoader

N, BATCH, EPOCHS = 103, 8, 2


class Numbers(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.tensor([i / N]), i % 2


def write(folder: Path, received: list[list[int]]) -> None:
    (folder / f"rank-{dist.get_rank()}.json").write_text(json.dumps(received))


def by_hand(rank: int, folder: Path, size: int | None = 2) -> None:
    sampler = ds.Sampler(N, ds.RandomSubset(fraction=0.3), BATCH)
    loader = DataLoader(Numbers(), sampler=sampler)
    store = "env://" if size is None else (folder / "store").as_uri()
    ranks = {} if size is None else {"rank": rank, "world_size": size}
    dist.init_process_group("gloo", init_method=store, **ranks)
    received: list[list[int]] = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        received.append([i for _, _, index in loader for i in index.tolist()])
    write(folder, received)
    dist.barrier()
    dist.destroy_process_group()


def with_lightning(folder: Path) -> None:
    import lightning

    sampler = ds.Sampler(N, ds.RandomSubset(fraction=0.3), BATCH)
    loader = DataLoader(Numbers(), sampler=sampler)
    received: list[list[int]] = [[] for _ in range(EPOCHS)]

    class Model(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Linear(1, 2)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            x, y, index = batch
            received[self.current_epoch].extend(index.tolist())
            return torch.nn.functional.cross_entropy(self.net(x), y)

    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=EPOCHS,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(), loader)
    write(folder, received)


def main() -> None:
    framework, folder = sys.argv[1], Path(sys.argv[2])
    warnings.simplefilter("ignore")  # advice on workers, loggers and the like
    if framework == "spawn":
        torch.multiprocessing.spawn(by_hand, (folder,), nprocs=2)
    elif framework == "torchrun":
        by_hand(int(os.environ["RANK"]), folder, None)
    else:
        with_lightning(folder)


if __name__ == "__main__":
    main()
