"""Run the code of docs/migrate/ignite.md on the ranks that torchrun started.

`python -m tests.ranks.train_with_ignite FOLDER`
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import ignite.distributed as idist
import torch

import dynsample as ds
from tests import pages
from tests.docs.noted import BATCH, EPOCHS, Noted, samples, up_and_down

PAGE = "docs/migrate/ignite.md"


def main() -> None:
    folder = Path(sys.argv[1])
    code = pages.blocks(PAGE)[0].replace("ds.Kakurenbo(fraction=0.3)", "up_and_down()")
    code = code.replace("batch_size=32", f"batch_size={BATCH}")
    Noted.made = []
    ds.Sampler = Noted  # type: ignore[misc]
    train = pages.run(PAGE, [code], {"up_and_down": up_and_down})["train"]
    torch.manual_seed(0)
    idist.initialize("gloo")
    sampler, trainer = train(torch.nn.Linear(3, 3), samples(), EPOCHS)
    epochs = {
        epoch: [plan.order.tolist(), plan.hidden.tolist(), kept, hidden]
        for epoch, (plan, kept, hidden) in sampler.epochs.items()
    }
    record = {"epochs": epochs, "steps": trainer.state.iteration, "digest": sampler.plan.digest}
    (folder / f"{idist.get_rank()}.json").write_text(json.dumps(record))
    idist.barrier()
    os._exit(0)  # threads of gloo can abort a process that unwinds


if __name__ == "__main__":
    main()
