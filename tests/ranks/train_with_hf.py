"""Train with the Trainer of transformers: at once, and in two parts with a stop.

`python -m tests.ranks.train_with_hf FOLDER POLICY ACCUMULATION N`, under torchrun: every rank
writes what it did in the whole run, and in the parts of those with a stop at an epoch's end and
behind it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments

import dynsample as ds
from dynsample import hf

BATCH, EPOCHS = 4, 6
POLICIES: dict[str, Any] = {
    "InfoBatch": lambda: ds.InfoBatch(epochs=EPOCHS),
    "Kakurenbo": lambda: ds.Kakurenbo(fraction=0.4, tau=0.0),
}


class Samples(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {"x": torch.tensor([i / self.n - 0.5]), "labels": torch.tensor(i % 3 // 2)}


class Classifier(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Linear(1, 2)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.net(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class Noted(hf.Trainer):
    """Notes by epoch what was trained on and looked at."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: dict[str, dict[int, list[int]]] = {"kept": {}, "hidden": {}, "planned": {}}

    def _observe(self, index: torch.Tensor, *given: Any) -> torch.Tensor | None:
        epoch = self.sampler.epoch
        self.seen["planned"][epoch] = self.sampler.plan.order.tolist()
        kind = "kept" if torch.is_grad_enabled() else "hidden"
        self.seen[kind].setdefault(epoch, []).extend(index.tolist())
        return super()._observe(index, *given)


class Note(TrainerCallback):  # type: ignore[misc]
    """Notes steps and rates; saves and ends after a step."""

    def __init__(self, stop: int | None) -> None:
        self.stop, self.left = stop, 0
        self.rates: list[float] = []
        self.ends: list[int] = []

    def on_pre_optimizer_step(self, *_: Any, optimizer: Any, **__: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.stop:
            control.should_training_stop = control.should_save = True

    def on_epoch_end(
        self, args: Any, state: Any, control: Any, model: torch.nn.Module, **_: Any
    ) -> None:
        self.ends.append(state.global_step)
        self.left += sum(one.grad is not None for one in model.parameters())


def train(folder: Path, stop: int | None = None, resume: bool = False) -> dict[str, Any]:
    """Train to the end or a stop, maybe from the last checkpoint; return what this rank did."""
    policy, accumulation, n = sys.argv[2], *map(int, sys.argv[3:])
    args = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=EPOCHS,
        learning_rate=0.1,
        use_cpu=True,
        ddp_find_unused_parameters=False,
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
        save_strategy="no",
    )
    sampler = ds.Sampler(n, POLICIES[policy](), seed=5, issue="external")
    trainer = Noted(model=Classifier(), args=args, train_dataset=Samples(n), sampler=sampler)
    note = Note(stop)
    trainer.add_callback(note)
    trainer.train(resume_from_checkpoint=resume)
    weights = [one.tolist() for one in trainer.model.parameters()]
    return {
        **trainer.seen,
        "steps": trainer.state.global_step,
        "updates": [end - begin for begin, end in zip([0, *note.ends], note.ends, strict=False)],
        "last": trainer.state.max_steps,
        "rates": [*note.rates, trainer.lr_scheduler.get_last_lr()[0]],
        "left": note.left,
        "weights": weights,
        "surplus": sampler.stats["surplus"],
    }


def main() -> None:
    folder = Path(sys.argv[1])
    runs: dict[str, Any] = {"whole": train(folder / "whole")}
    end = sum(runs["whole"]["updates"][:3])
    for name, stop in (("at the end", end), ("behind it", end + 1)):
        runs[name] = [train(folder / name, stop), train(folder / name, resume=True)]
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(runs))
    torch.distributed.barrier()
    os._exit(0)  # threads of gloo can abort a process that unwinds


if __name__ == "__main__":
    main()
