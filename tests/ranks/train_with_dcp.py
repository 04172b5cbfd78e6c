"""Train with torchdata's loader, checkpoint with torch's DCP, and print what was trained on.

`python -m tests.ranks.train_with_dcp FOLDER START STOP`, on the ranks of a gloo world or alone.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torchdata.stateful_dataloader import StatefulDataLoader

import dynsample as ds

ROWS, N = 12, 100


class Numbers(torch.utils.data.Dataset[tuple[int, int]]):
    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> tuple[int, int]:
        return index * index, index


def main() -> None:
    folder, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if "WORLD_STORE" in os.environ:
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        store = os.environ["WORLD_STORE"]
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    model = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(model.weight)
    sampler = ds.Sampler(
        N, ds.Kakurenbo(fraction=0.3, tau=0), ROWS // int(os.environ.get("WORLD_SIZE", "1")), seed=3
    )
    loader = StatefulDataLoader(Numbers(), batch_sampler=sampler)
    if start:
        sampler.load(folder / f"{start}" / "sampler")
        state = {"model": model.state_dict(), "sampler": sampler.state_dict()}
        dcp.load(state, checkpoint_id=folder / f"{start}" / "model")
        model.load_state_dict(state["model"])
        at_load = sampler.state_dict()
        assert all(
            value == at_load[name]
            for name, value in state["sampler"].items()
            if name != "generation"
        )  # of the state before that save
    else:
        sampler.set_epoch(0)
    step, lines = start, []
    while step < stop:
        for _, index in loader:
            with torch.no_grad():
                model.weight += 1
            lines.append([step, index.tolist()])
            ones = torch.ones(len(index))
            sampler.observe(index, loss=index.float() % 7, correct=ones, confidence=ones)
            step += 1
            if step == stop:
                break
        else:
            sampler.set_epoch(sampler.epoch + 1)
    state = {"model": model.state_dict(), "sampler": sampler.state_dict()}
    dcp.save(state, checkpoint_id=folder / f"{stop}" / "model")
    sampler.save(folder / f"{stop}" / "sampler")
    name = f"{start}-{sampler.group.rank}.json"
    (folder / name).write_text(json.dumps([model.weight.item(), lines]))
    if dist.is_initialized():
        dist.destroy_process_group()  # threads of gloo that outlive Python can abort the process


if __name__ == "__main__":
    main()
