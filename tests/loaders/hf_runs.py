"""Runs of the Trainer of transformers that note what they did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import TrainerCallback, TrainingArguments

import dynsample as ds
from dynsample import hf

N, BATCH, EPOCHS = 53, 4, 4


class Samples(torch.utils.data.Dataset[dict[str, Any]]):
    """Two classes on a line, and a field that the model does not take."""

    def __init__(self, n: int = N) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"x": torch.tensor([i / self.n - 0.5]), "labels": i % 3 // 2, "name": str(i)}


class Classifier(torch.nn.Module):
    """Divides its loss as the trainer says, by what is accumulated, when it is told."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Linear(1, 2)
        self.config = transformers.PretrainedConfig()

    def forward(
        self, x: torch.Tensor, labels: torch.Tensor | None = None, **told: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        logits = self.net(x)
        if labels is None:  # the trainer smooths them
            return {"logits": logits}
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        loss = losses.sum() / told.get("num_items_in_batch", len(losses))
        return {"loss": loss, "logits": logits}


class Noted(hf.Trainer):
    """Notes by epoch what was trained on and looked at, and the steps and rates."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept: dict[int, list[int]] = {}
        self.looked: dict[int, list[int]] = {}
        self.planned: dict[int, tuple[list[int], list[int]]] = {}
        self.steps: dict[int, int] = {}
        self.rates: list[float] = []
        self.left: list[bool] = []
        self.add_callback(_Note(self))

    def sample_losses(self, outputs: Any, inputs: Any) -> torch.Tensor:
        assert hf.INDEX not in inputs
        return super().sample_losses(outputs, inputs)

    def _observe(self, index: torch.Tensor, outputs: Any, inputs: Any) -> torch.Tensor | None:
        plan, epoch = self.sampler.plan, self.sampler.epoch
        self.planned[epoch] = (sorted(plan.order.tolist()), sorted(plan.hidden.tolist()))
        assert self.model.training == torch.is_grad_enabled()
        where = self.kept if self.model.training else self.looked
        where.setdefault(epoch, []).extend(index.tolist())
        return super()._observe(index, outputs, inputs)


class _Note(TrainerCallback):  # type: ignore[misc]
    def __init__(self, trainer: Noted) -> None:
        self.trainer = trainer

    def on_pre_optimizer_step(self, *_: Any, optimizer: Any, **__: Any) -> None:
        self.trainer.rates.append(optimizer.param_groups[0]["lr"])

    def on_step_end(self, *_: Any, **__: Any) -> None:
        epoch = self.trainer.sampler.epoch
        self.trainer.steps[epoch] = self.trainer.steps.get(epoch, 0) + 1

    def on_epoch_end(self, *_: Any, model: torch.nn.Module, **__: Any) -> None:
        self.trainer.left += [one.grad is not None for one in model.parameters()]


class Stop(TrainerCallback):  # type: ignore[misc]
    """Saves and ends after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            control.should_training_stop = control.should_save = True


POLICIES: dict[str, Callable[[], ds.Policy]] = {
    "InfoBatch": lambda: ds.InfoBatch(epochs=EPOCHS),
    "Kakurenbo": lambda: ds.Kakurenbo(fraction=0.4, tau=0.0),
}


def make(
    folder: Path,
    policy: ds.Policy | str = "Kakurenbo",
    *,
    cls: type[hf.Trainer] = Noted,
    dataset: Any = None,
    sampler: Any = None,
    model: torch.nn.Module | None = None,
    trainer: dict[str, Any] | None = None,
    **arguments: Any,
) -> Any:
    """Return a trainer with its defaults, but for what is given."""
    policy = POLICIES[policy]() if isinstance(policy, str) else policy
    defaults = {
        "output_dir": str(folder),
        "per_device_train_batch_size": BATCH,
        "num_train_epochs": EPOCHS,
        "learning_rate": 0.1,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
    }
    return cls(
        model=model or Classifier(),
        args=TrainingArguments(**{**defaults, **arguments}),
        train_dataset=dataset or Samples(),
        sampler=ds.Sampler(N, policy, seed=5, issue="external") if sampler is None else sampler,
        **(trainer or {}),
    )


def run(folder: Path, *given: Any, **options: Any) -> Any:
    made = make(folder, *given, **options)
    made.train()
    return made
